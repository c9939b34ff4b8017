//! The known targets, and what is said about unknown and broken ones.

use secateur_target::Target;

fn root(path: &str) -> String {
    format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"))
}

fn error(result: secateur_diag::Result<Target>) -> String {
    result.expect_err("must be refused").to_string()
}

#[test]
fn every_file_is_known_under_its_own_name() {
    let mut files: Vec<String> = std::fs::read_dir(root("targets"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.ends_with(".toml"))
        .collect();
    files.sort();
    let mut known: Vec<String> = Target::all().iter().map(|t| format!("{}.toml", t.name)).collect();
    known.sort();
    assert_eq!(files, known);
    for target in Target::all() {
        let path = root(&format!("targets/{}.toml", target.name));
        assert_eq!(Target::load(&target.name).unwrap(), *target);
        assert_eq!(Target::load(&path).unwrap(), *target);
    }
}

#[test]
fn every_figure_names_its_source() {
    for target in Target::all() {
        let text = std::fs::read_to_string(root(&format!("targets/{}.toml", target.name))).unwrap();
        for (i, line) in text.lines().enumerate().filter(|(_, l)| l.contains('=') && !l.starts_with('#')) {
            assert!(line.contains(" # "), "{}.toml:{}: no source: {line}", target.name, i + 1);
        }
    }
}

#[test]
fn derived_figures() {
    let (pi4, pi5) = (Target::load("rpi4").unwrap(), Target::load("rpi5").unwrap());
    assert_eq!((pi4.caches.l1d.sets(), pi4.caches.l1i.sets(), pi4.caches.l2.sets()), (256, 256, 1024));
    assert_eq!((pi4.f32_macs_per_cycle(), pi4.int8_macs_per_cycle()), (4.0, 8.0));
    assert_eq!((pi5.f32_macs_per_cycle(), pi5.int8_macs_per_cycle()), (8.0, 32.0));
    assert_eq!(pi5.caches.l3.unwrap().bytes(), 2 << 20);
}

#[test]
fn unknown_names() {
    let known = "\n  known  rpi-zero-2w, rpi3, rpi4, rpi5\n  help   ";
    for (name, help) in [
        ("rpi6", "did you mean rpi3?"),
        ("RPi4", "did you mean rpi4?"),
        ("raspberry-pi-5", "did you mean rpi5?"),
        ("zero2w", "give one of these names, or the path of a .toml file"),
        ("rpi-zero2", "did you mean rpi-zero-2w?"),
        ("", "give one of these names, or the path of a .toml file"),
        ("jetson", "give one of these names, or the path of a .toml file"),
    ] {
        assert_eq!(error(Target::load(name)), format!("error[T001]: unknown target \"{name}\"{known}{help}"));
    }
}

#[test]
fn broken_files() {
    let good = std::fs::read_to_string(root("targets/rpi4.toml")).unwrap();
    for (from, to, message) in [
        ("core = ", "kore = ", "unknown field `kore`"),
        ("clock_mhz = 1500", "", "missing field `clock_mhz`"),
        ("cores = 4", "cores = -4", "invalid value: integer `-4`"),
        ("cores = 4", "cores = 0", "cores is zero"),
        ("cores = 4", "cores = ", "file   t.toml:6"),
        ("kib = 48", "kib = 47", "caches.l1i: size / (ways × line) is not a power of two"),
        ("ways = 16", "ways = 0", "caches.l2: size /"),
        ("kib = 1024", "kib = 4294967295", "caches.l2: size /"),
        ("read_gbs = 5.2", "read_gbs = nan", "memory.read_gbs = NaN is not a positive number"),
        ("dotprod = false", "dotprod = true", "pipeline.sdot_per_cycle must be positive"),
        ("neon = true", "neon = false", "features.neon is false"),
        ("name = \"rpi4\"", "name = \"Pi 4\"", "name \"Pi 4\" is not made of"),
    ] {
        assert!(good.contains(from), "{from}");
        let text = error(Target::parse(&good.replacen(from, to, 1), "t.toml"));
        assert!(text.starts_with("error[T002]: invalid target file: ") && text.contains(message), "{text}");
        assert!(text.contains("\n  file   t.toml"), "{text}");
    }
}

#[test]
fn missing_file() {
    let text = error(Target::load("nowhere/board.toml"));
    assert!(text.starts_with("error[T002]: the target file cannot be read: "), "{text}");
    assert!(text.ends_with("\n  file   nowhere/board.toml"), "{text}");
}
