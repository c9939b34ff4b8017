//! The assembler layer: frames, far offsets, listings.

use secateur_neon::asm::{Asm, SP, V, X};
use secateur_neon::{CopyRun, Core, KernelSpec, listing};

#[test]
fn a_small_kernel() {
    let code = KernelSpec::from(CopyRun { count: 21 }).generate(Core::A72).unwrap();
    insta::assert_snapshot!(listing(&code));
}

#[test]
fn what_the_body_uses_is_saved() {
    let mut a = Asm::new();
    let own = a.reserve(24);
    a.str_q(V(9), SP, i64::from(own));
    a.fmla_e(V(8), V(31), V(15), 3);
    a.mov(X(21), X(28));
    a.ldr_q(V(0), X(1), 70_000);
    a.ldr_q(V(0), X(1), -16);
    a.mov_imm(X(3), -70_000);
    a.mov_imm(X(3), 0x1_0000_0001);
    a.add_imm(X(3), X(4), 0x123_4567);
    a.prefetch(X(1), 256);
    a.ld2_post(V(4), X(1));
    a.ld1r(V(4), X(1));
    a.call("elsewhere");
    let code = a.finish("saves".into()).unwrap();
    insta::assert_snapshot!(format!("{}{:#?}\n{:?}", listing(&code), code.frame, code.relocations));
}
