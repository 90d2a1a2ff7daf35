//! The folder that the scheduler's copies arrive in, and what happens to them there from one night to the next.
//!
//! Whatever is done to a log, its bytes are a beginning of what its server wrote, and its folders tell its server and
//! role: nothing here may change what the store says in the end.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use ingest::compression::{Codec, encode, encode_zip};

use crate::{
    dice::Dice,
    fleet::{Fleet, Log},
};

/// Folders that say nothing and may lie between a server and its logs.
const NEUTRAL: [&str; 5] = ["2024-03", "20240301", "Logs", "Microsoft", "V15"];

/// Logs in one archive.
const MEMBERS_MAX: usize = 4;

pub(crate) struct Incoming<'f> {
    fleet: &'f Fleet,
    root: PathBuf,
    copies: Vec<Copy>,
    /// Logs of which nothing has come yet, in the order in which they will.
    to_come: Vec<usize>,
    /// Names and times are given once.
    next: u64,
}

/// A file.
#[derive(Clone)]
struct Copy {
    path: PathBuf,
    codec: Codec,
    /// The logs in it, with the bytes that it has of each; an archive has several.
    logs: Vec<(usize, usize)>,
}

impl<'f> Incoming<'f> {
    pub(crate) fn new(root: &Path, fleet: &'f Fleet, dice: &mut Dice) -> Incoming<'f> {
        fs::create_dir_all(root).unwrap();
        let mut to_come: Vec<usize> = (0..fleet.logs.len()).collect();
        // Mostly in order, some early, some late.
        for _ in 0..to_come.len() {
            let (a, b) = (dice.below(to_come.len()), dice.below(to_come.len()));
            to_come.swap(a, b);
        }
        Incoming { fleet, root: root.to_owned(), copies: Vec::new(), to_come, next: 0 }
    }

    /// Something happens to the files. `cycles_left` tells how much has to come now.
    pub(crate) fn change(&mut self, dice: &mut Dice, cycles_left: usize) {
        let share = self.to_come.len().div_ceil(cycles_left.max(1));
        let arriving = dice.below(2 * share + 1).min(self.to_come.len());
        let mut arrived = self.to_come.split_off(self.to_come.len() - arriving);
        while let Some(log) = arrived.pop() {
            let is_together = dice.one_in(6);
            let mut logs = vec![log];
            while is_together && logs.len() < MEMBERS_MAX {
                let beside = |&other: &usize| self.fleet.logs[other].folder == self.fleet.logs[log].folder;
                let Some(at) = arrived.iter().position(beside) else { break };
                logs.push(arrived.swap_remove(at));
            }
            self.arrive(dice, &logs);
        }
        for _ in 0..dice.below(12) {
            match dice.below(10) {
                0..=3 => self.grow(dice),
                4 | 5 => self.rename(dice),
                6 | 7 => self.compress_again(dice),
                8 => self.duplicate(dice),
                _ => self.vanish(dice),
            }
        }
    }

    /// Every log lies here whole, whatever else lies here.
    pub(crate) fn complete(&mut self, dice: &mut Dice) {
        self.to_come.clear();
        for log in 0..self.fleet.logs.len() {
            let length = self.fleet.logs[log].bytes.len();
            if self.copies.iter().all(|copy| !copy.logs.contains(&(log, length))) {
                let codec = codec(dice);
                let path = self.new_path(dice, log, codec);
                self.write(dice, Copy { path, codec, logs: vec![(log, length)] });
            }
        }
    }

    /// Only what the servers wrote, as they named it.
    pub(crate) fn write_originals(root: &Path, fleet: &Fleet) {
        for log in &fleet.logs {
            let folder = root.join(&log.folder);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(&log.name), &log.bytes).unwrap();
        }
    }

    /// What lies here now: each file with the bytes that it has of every log.
    pub(crate) fn listing(&self) -> String {
        let file = |copy: &Copy| {
            let logs = copy.logs.iter().map(|&(log, length)| {
                let Log { folder, name, bytes, .. } = &self.fleet.logs[log];
                format!(" {folder}/{name}={length}/{}", bytes.len())
            });
            format!("  {}:{}\n", copy.path.strip_prefix(&self.root).unwrap().display(), logs.collect::<String>())
        };
        let mut files: Vec<String> = self.copies.iter().map(file).collect();
        files.sort();
        files.concat()
    }

    fn arrive(&mut self, dice: &mut Dice, logs: &[usize]) {
        let codec = if logs.len() > 1 { Codec::Zip } else { codec(dice) };
        let path = self.new_path(dice, logs[0], codec);
        let logs = logs.iter().map(|&log| (log, self.length(dice, log, 0, codec))).collect();
        self.write(dice, Copy { path, codec, logs });
    }

    /// A length beyond `least`, mostly all of it, else anywhere, also in the middle of a line.
    fn length(&self, dice: &mut Dice, log: usize, least: usize, codec: Codec) -> usize {
        let Log { bytes, first_row_end, .. } = &self.fleet.logs[log];
        let least = if codec == Codec::Zip { least.max(*first_row_end) } else { least };
        if dice.one_in(2) { bytes.len() } else { dice.between(least, bytes.len()) }
    }

    fn grow(&mut self, dice: &mut Dice) {
        let growing: Vec<usize> = (0..self.copies.len()).filter(|&at| !self.is_whole(&self.copies[at])).collect();
        if growing.is_empty() {
            return;
        }
        let at = *dice.pick(&growing);
        let copy = self.copies[at].clone();
        let logs: Vec<(usize, usize)> =
            copy.logs.iter().map(|&(log, length)| (log, self.length(dice, log, length, copy.codec))).collect();
        if copy.codec == Codec::Plain && dice.one_in(2) {
            // As a server does it.
            let (log, length) = copy.logs[0];
            let mut file = OpenOptions::new().append(true).open(&copy.path).unwrap();
            file.write_all(&self.fleet.logs[log].bytes[length..logs[0].1]).unwrap();
            self.copies[at].logs = logs;
            return;
        }
        self.copies.swap_remove(at);
        self.write(dice, Copy { logs, ..copy });
    }

    fn is_whole(&self, copy: &Copy) -> bool {
        copy.logs.iter().all(|&(log, length)| length == self.fleet.logs[log].bytes.len())
    }

    fn rename(&mut self, dice: &mut Dice) {
        let Some(at) = self.any(dice) else { return };
        let path = self.new_path(dice, self.copies[at].logs[0].0, self.copies[at].codec);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::rename(&self.copies[at].path, &path).unwrap();
        self.copies[at].path = path;
    }

    fn compress_again(&mut self, dice: &mut Dice) {
        let Some(at) = self.any(dice) else { return };
        let old = self.copies[at].clone();
        let codec = codec(dice);
        let is_cut_row = |&(log, length): &(usize, usize)| length < self.fleet.logs[log].first_row_end;
        if old.logs.len() > 1 || (codec == Codec::Zip && old.logs.iter().any(is_cut_row)) {
            return;
        }
        self.copies.swap_remove(at);
        fs::remove_file(&old.path).unwrap();
        let path = self.new_path(dice, old.logs[0].0, codec);
        self.write(dice, Copy { path, codec, logs: old.logs });
    }

    /// A copy of the same age or older.
    fn duplicate(&mut self, dice: &mut Dice) {
        let Some(at) = self.any(dice) else { return };
        let &(log, length) = dice.pick(&self.copies[at].logs);
        let length = if dice.one_in(2) { length } else { dice.between(0, length) };
        let codec = if length < self.fleet.logs[log].first_row_end { Codec::Plain } else { codec(dice) };
        let path = self.new_path(dice, log, codec);
        self.write(dice, Copy { path, codec, logs: vec![(log, length)] });
    }

    fn vanish(&mut self, dice: &mut Dice) {
        let Some(at) = self.any(dice) else { return };
        fs::remove_file(self.copies.swap_remove(at).path).unwrap();
    }

    fn any(&self, dice: &mut Dice) -> Option<usize> {
        (!self.copies.is_empty()).then(|| dice.below(self.copies.len()))
    }

    fn new_path(&mut self, dice: &mut Dice, log: usize, codec: Codec) -> PathBuf {
        self.next += 1;
        let Log { folder, shortest, name, .. } = &self.fleet.logs[log];
        let mut folder = if dice.one_in(3) { shortest.clone() } else { folder.clone() };
        if dice.one_in(3) {
            folder = format!("{folder}/{}", dice.pick(&NEUTRAL));
        }
        let number = self.next;
        let name = match dice.below(5) {
            0 => format!("{number:08x}"),
            1 => format!("copy {number} of {name}"),
            2 => format!("SEND20240302-{number}.LOG"),
            _ => format!("{name}{}", codec.suffix()),
        };
        let path = self.root.join(&folder).join(name);
        match path.exists() {
            true => self.root.join(folder).join(format!("{number}.old")),
            false => path,
        }
    }

    fn write(&mut self, dice: &mut Dice, copy: Copy) {
        let content = |&(log, length): &(usize, usize)| &self.fleet.logs[log].bytes[..length];
        let bytes = match copy.codec {
            Codec::Zip => {
                let names: Vec<String> = (1..=copy.logs.len()).map(|number| format!("{number}.LOG")).collect();
                let members: Vec<(&str, &[u8])> =
                    names.iter().map(String::as_str).zip(copy.logs.iter().map(content)).collect();
                encode_zip(&members).unwrap()
            }
            codec => encode(codec, content(&copy.logs[0])).unwrap(),
        };
        fs::create_dir_all(copy.path.parent().unwrap()).unwrap();
        // Written beside it and renamed, as a careful copy is, or in place.
        let written = if dice.one_in(2) { copy.path.with_extension("part") } else { copy.path.clone() };
        fs::write(&written, bytes).unwrap();
        fs::rename(&written, &copy.path).unwrap();
        if dice.one_in(2) {
            self.next += 1;
            let age = Duration::from_secs(90 * 86_400 - self.next);
            File::options().write(true).open(&copy.path).unwrap().set_modified(SystemTime::now() - age).unwrap();
        }
        self.copies.push(copy);
    }
}

fn codec(dice: &mut Dice) -> Codec {
    *dice.pick(&[Codec::Plain, Codec::Plain, Codec::Zstd, Codec::Gzip, Codec::Zip])
}
