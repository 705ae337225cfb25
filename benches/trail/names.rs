//! What calls are about, and filling that into templates.

use std::fmt::Write;

use chrono::DateTime;

use super::account::Account;
use super::rng::Rng;

/// What templates are filled in with.
pub struct Names<'a> {
    bucket: &'a str,
    prefix: &'a str,
    function: &'a str,
    table: &'a str,
    secret: &'a str,
    kms: &'a str,
    instance: &'a str,
    security_group: &'a str,
    subnet: &'a str,
    image: &'a str,
    role: &'a str,
    user: &'a str,
    key: String,
}

/// Where and when.
pub struct Scene<'a> {
    pub account: &'a Account,
    pub region: &'a str,
    pub time: i64,
}

impl<'a> Names<'a> {
    /// What a stretch of one caller's calls is about: some of what the account owns.
    pub fn of(account: &'a Account, rng: &mut Rng) -> Names<'a> {
        let role = &rng.favour(&account.roles).name;
        let user = &rng.favour(&account.users).name;
        let mut one_of = |list| -> &'a str { rng.favour::<String>(list) };
        Names {
            bucket: one_of(&account.buckets),
            prefix: one_of(&account.prefixes),
            function: one_of(&account.functions),
            table: one_of(&account.tables),
            secret: one_of(&account.secrets),
            kms: one_of(&account.kms_keys),
            instance: one_of(&account.instances),
            security_group: one_of(&account.security_groups),
            subnet: one_of(&account.subnets),
            image: one_of(&account.images),
            role,
            user,
            key: String::new(),
        }
    }

    /// The next object of the bucket.
    pub fn next_key(&mut self, rng: &mut Rng, time: i64) {
        self.key.clear();
        let day = DateTime::from_timestamp(time, 0).unwrap_or_default().format("%Y/%m/%d");
        let _ = write!(self.key, "{}/{day}/part-{:05}-", self.prefix, rng.below(400));
        rng.hex(&mut self.key, 8);
        self.key.push_str(".parquet");
    }

    /// Writes the template with every `<name>` filled in.
    pub fn fill(&self, to: &mut String, template: &str, scene: &Scene<'_>, rng: &mut Rng) {
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('<') {
            to.push_str(before);
            let (name, after) = after.split_once('>').expect("a template's names end");
            rest = after;
            let (name, number) = match name.split_once(':') {
                Some((name, number)) => (name, number.parse().expect("a template's numbers are numbers")),
                None => (name, 0),
            };
            match name {
                "account" => to.push_str(&scene.account.id),
                "region" => to.push_str(scene.region),
                "bucket" => to.push_str(self.bucket),
                "key" => to.push_str(&self.key),
                "prefix" => to.push_str(self.prefix),
                "function" => to.push_str(self.function),
                "table" => to.push_str(self.table),
                "secret" => to.push_str(self.secret),
                "kms" => to.push_str(self.kms),
                "instance" => to.push_str(self.instance),
                "sg" => to.push_str(self.security_group),
                "subnet" => to.push_str(self.subnet),
                "ami" => to.push_str(self.image),
                "role" => to.push_str(self.role),
                "user" => to.push_str(self.user),
                "session" => to.push_str(&format!("{}-{}", self.prefix, scene.time / 900)),
                "n" => to.push_str(&rng.below(number).to_string()),
                "uuid" => rng.uuid(to),
                "hex" => rng.hex(to, number as usize),
                "upper" => rng.upper(to, number as usize),
                "base64" => rng.base64(to, number as usize),
                // The same whenever the same names are.
                "stack-id" => Rng::of(hash(self.prefix), &[]).uuid(to),
                "vpc-id" => Rng::of(hash(self.subnet), &[]).hex(to, 17),
                "epoch" => to.push_str(&scene.time.to_string()),
                "epoch-ms" => to.push_str(&(scene.time * 1000 + rng.below(1000) as i64).to_string()),
                "iso-ms" => to.push_str(&iso(scene.time).replace('Z', ".000")),
                "java-time" => {
                    let at = DateTime::from_timestamp(scene.time + 3600, 0).unwrap_or_default();
                    to.push_str(&at.format("%b %-d, %Y, %-I:%M:%S %p").to_string());
                }
                _ => panic!("the template has <{name}>, which is not known"),
            }
        }
        to.push_str(rest);
    }
}

fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// `2026-03-01T12:34:56Z`.
pub fn iso(time: i64) -> String {
    DateTime::from_timestamp(time, 0).unwrap_or_default().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
