//! The runner finds what kernels do wrong. The kernels are machine words, each with its assembly beside it.

use secateur_qemu::{Argument, CORES, Case, Counts, Failure, Runner, plugin};

fn code(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

const RET: u32 = 0xd65f03c0;

fn call(words: &[u32], arguments: Vec<Argument>) -> Result<Vec<Vec<u8>>, Failure> {
    let code = code(words);
    let mut case = Case::new(&code, arguments);
    case.seconds = 1;
    let result = Runner::new("cortex-a72").unwrap().run(&case);
    result.map(|r| r.outputs)
}

#[test]
fn a_good_kernel_on_every_core() {
    let copy = code(&[0xbd400020, 0x1e202800, 0xbd000000, RET]); // ldr s0, [x1]; fadd s0, s0, s0; str s0, [x0]; ret
    for core in CORES {
        let mut runner = Runner::new(core).unwrap();
        for n in 0..50 {
            let input = (n as f32).to_le_bytes();
            let case = Case::new(&copy, vec![Argument::Output(4), Argument::Input(&input)]);
            assert_eq!(runner.run(&case).unwrap().floats(0), [2.0 * n as f32], "{core}");
        }
    }
}

#[test]
fn reading_past_the_end() {
    // ldr d0, [x1]; str s0, [x0]; ret: eight bytes of a buffer of four.
    let found = call(&[0xfd400020, 0xbd000000, RET], vec![Argument::Output(4), Argument::Input(&[0; 4])]);
    assert!(
        matches!(found, Err(Failure::Signal { number: 11, argument: Some((1, 4)), pc: 0, .. })),
        "{found:?}"
    );
}

#[test]
fn reading_before_the_start() {
    // ldur s0, [x1, #-4]; str s0, [x0]; ret
    let found = call(&[0xbc5fc020, 0xbd000000, RET], vec![Argument::Output(4), Argument::Input(&[0; 4])]);
    assert!(
        matches!(found, Err(Failure::Signal { number: 11, argument: Some((1, -4)), pc: 0, .. })),
        "{found:?}"
    );
}

#[test]
fn writing_beside_a_buffer() {
    let found = call(&[0xb81fc01f, RET], vec![Argument::Output(8)]); // stur wzr, [x0, #-4]; ret
    assert_eq!(found, Err(Failure::Spill { argument: 0, offset: -4 }));
}

#[test]
fn writing_to_an_input() {
    let found = call(&[0xb900003f, RET], vec![Argument::Output(4), Argument::Input(&[1; 4])]); // str wzr, [x1]; ret
    assert_eq!(found, Err(Failure::InputChanged { argument: 1 }));
}

#[test]
fn registers_not_kept() {
    let cases = [
        (0xaa1f03f3, "x19"), // mov x19, xzr
        (0xaa1f03fd, "x29"), // mov x29, xzr
        (0xaa1f03f2, "x18"), // mov x18, xzr
        (0x2f00e408, "d8"),  // movi d8, #0
        (0x2f00e40f, "d15"), // movi d15, #0
        (0xd10043ff, "sp"),  // sub sp, sp, #16
    ];
    for (word, name) in cases {
        assert_eq!(call(&[word, RET], vec![]), Err(Failure::Register(name.to_owned())));
    }
}

#[test]
fn the_high_halves_of_vectors_are_free() {
    assert_eq!(call(&[0x4e080408, RET], vec![]).err(), Some(Failure::Register("d8".to_owned()))); // dup v8.2d, v0.d[0]
    assert_eq!(call(&[0x4e181d08, RET], vec![]), Ok(vec![])); // mov v8.d[1], x8
}

#[test]
fn endless_and_undefined() {
    assert!(matches!(call(&[0x14000000], vec![]), Err(Failure::Signal { number: 14, .. }))); // b .
    assert!(matches!(call(&[0], vec![]), Err(Failure::Signal { number: 4, pc: 0, .. }))); // udf
}

#[test]
fn a_runner_survives_failures_and_sees_new_code() {
    let mut runner = Runner::new("cortex-a53").unwrap();
    let bad = code(&[0]);
    let good = code(&[0xb900001f, RET]); // str wzr, [x0]; ret
    for _ in 0..3 {
        assert!(runner.run(&Case::new(&bad, vec![])).is_err());
        let case = Case::new(&good, vec![Argument::Output(4)]);
        assert_eq!(runner.run(&case).unwrap().outputs, [[0; 4]]);
    }
}

#[test]
fn what_is_counted() {
    // movz x9, #10; loop: fmla v0.4s, v1.4s, v2.4s; ldr q3, [x1]; str q3, [x0]; ldr x8, [x1]; str x8, [x0];
    // fadd v4.4s, v4.4s, v4.4s; prfm pldl1keep, [x1]; subs x9, x9, #1; b.ne loop; ret
    let code = code(&[
        0xd2800149, 0x4e22cc20, 0x3dc00023, 0x3d800003, 0xf9400028, 0xf9000008, 0x4e24d484, 0xf9800020,
        0xf1000529, 0x54ffff01, RET,
    ]);
    let mut runner = Runner::counting("cortex-a76", Some(secateur_qemu::CacheModel::A76)).unwrap();
    let case = Case::new(&code, vec![Argument::Output(16), Argument::Input(&[0; 16])]);
    for _ in 0..2 {
        let counts = runner.run(&case).unwrap().counts.unwrap();
        let Counts { misses, accesses, .. } = counts;
        assert!(accesses[1] == 60 && misses[1] <= 2, "{counts:?}");
        let expected = Counts {
            multiply_adds: 10,
            vector: 10,
            vector_loads: 10,
            vector_stores: 10,
            loads: 10,
            stores: 10,
            prefetches: 10,
            branches: 12, // the loop, the call and the return
            integer: 11,
            misses,
            accesses,
        };
        assert_eq!(counts, expected);
        assert_eq!(counts.total(), 93);
    }
}

#[test]
fn the_plugin_is_built_once() {
    assert_eq!(plugin().unwrap(), plugin().unwrap());
}
