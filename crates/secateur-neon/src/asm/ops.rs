//! One row an instruction: name, operands, and its form in `dynasm`'s syntax. Immediates are checked by the encoder;
//! a generator keeps to the range that the row names.

use super::{Asm, Operand, V, X};
use dynasmrt::{DynasmApi, dynasm};

macro_rules! ops {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $kind:ty),*) => [$($form:tt)*];)*) => {
        impl Asm {
            $($(#[$doc])*
            pub fn $name(&mut self, $($arg: $kind),*) {
                $(let $arg = Operand::note($arg, self);)*
                dynasm!(self.ops ; .arch aarch64 ; $($form)*);
            })*
        }
    };
}

ops! {
    // Integer.
    /// `d = n`.
    mov(d: X, n: X) => [mov X(d), X(n)];
    /// `d = n + m`.
    add(d: X, n: X, m: X) => [add X(d), X(n), X(m)];
    /// `d = n + (m << shift)`, shift < 64.
    add_lsl(d: X, n: X, m: X, shift: u32) => [add X(d), X(n), X(m), lsl shift];
    /// `d = n - m`.
    sub(d: X, n: X, m: X) => [sub X(d), X(n), X(m)];
    /// `d = n - (m << shift)`, shift < 64.
    sub_lsl(d: X, n: X, m: X, shift: u32) => [sub X(d), X(n), X(m), lsl shift];
    /// `d = n - imm`, setting flags, imm < 4096.
    subs_i(d: X, n: X, imm: u32) => [subs X(d), XSP(n), imm];
    /// Compares two registers.
    cmp(n: X, m: X) => [cmp X(n), X(m)];
    /// Compares with a number below 4096.
    cmp_i(n: X, imm: u32) => [cmp XSP(n), imm];
    /// `d = n * m`.
    mul(d: X, n: X, m: X) => [mul X(d), X(n), X(m)];
    /// `d = a + n * m`.
    madd(d: X, n: X, m: X, a: X) => [madd X(d), X(n), X(m), X(a)];
    /// `d = n / m`, signed.
    sdiv(d: X, n: X, m: X) => [sdiv X(d), X(n), X(m)];
    /// `d = n / m`, unsigned.
    udiv(d: X, n: X, m: X) => [udiv X(d), X(n), X(m)];
    /// `d = n << shift`, shift < 64.
    lsl_i(d: X, n: X, shift: u32) => [lsl X(d), X(n), shift];
    /// `d = n >> shift` without sign, shift < 64.
    lsr_i(d: X, n: X, shift: u32) => [lsr X(d), X(n), shift];
    /// `d = n >> shift` with sign, shift < 64.
    asr_i(d: X, n: X, shift: u32) => [asr X(d), X(n), shift];
    /// `d = n & m`.
    and(d: X, n: X, m: X) => [and X(d), X(n), X(m)];
    /// `d = n | m`.
    orr(d: X, n: X, m: X) => [orr X(d), X(n), X(m)];
    /// `d = n ^ m`.
    eor(d: X, n: X, m: X) => [eor X(d), X(n), X(m)];
    /// `d = n` with its low 32 bits sign-extended.
    sxtw(d: X, n: X) => [sxtw X(d), W(n)];
    /// 16 bits at bit 0, the rest zero.
    movz(d: X, imm: u32) => [movz X(d), imm];

    // f32, four lanes.
    /// `d = n` (whole register).
    mov_v(d: V, n: V) => [mov V(d).b16, V(n).b16];
    /// `d += n * m`.
    fmla(d: V, n: V, m: V) => [fmla V(d).s4, V(n).s4, V(m).s4];
    /// `d -= n * m`.
    fmls(d: V, n: V, m: V) => [fmls V(d).s4, V(n).s4, V(m).s4];
    /// `d += n * m[lane]`, lane < 4.
    fmla_e(d: V, n: V, m: V, lane: u32) => [fmla V(d).s4, V(n).s4, V(m).s[lane]];
    /// `d -= n * m[lane]`, lane < 4.
    fmls_e(d: V, n: V, m: V, lane: u32) => [fmls V(d).s4, V(n).s4, V(m).s[lane]];
    /// `d = n * m[lane]`, lane < 4.
    fmul_e(d: V, n: V, m: V, lane: u32) => [fmul V(d).s4, V(n).s4, V(m).s[lane]];
    /// `d = n * m`.
    fmul(d: V, n: V, m: V) => [fmul V(d).s4, V(n).s4, V(m).s4];
    /// `d = n + m`.
    fadd(d: V, n: V, m: V) => [fadd V(d).s4, V(n).s4, V(m).s4];
    /// `d = n - m`.
    fsub(d: V, n: V, m: V) => [fsub V(d).s4, V(n).s4, V(m).s4];
    /// `d = n / m`.
    fdiv(d: V, n: V, m: V) => [fdiv V(d).s4, V(n).s4, V(m).s4];
    /// Maximum; NaN if either is.
    fmax(d: V, n: V, m: V) => [fmax V(d).s4, V(n).s4, V(m).s4];
    /// Minimum; NaN if either is.
    fmin(d: V, n: V, m: V) => [fmin V(d).s4, V(n).s4, V(m).s4];
    /// Maximum; the number if one is a quiet NaN.
    fmaxnm(d: V, n: V, m: V) => [fmaxnm V(d).s4, V(n).s4, V(m).s4];
    /// Minimum; the number if one is a quiet NaN.
    fminnm(d: V, n: V, m: V) => [fminnm V(d).s4, V(n).s4, V(m).s4];
    /// `d = -n`.
    fneg(d: V, n: V) => [fneg V(d).s4, V(n).s4];
    /// `d = |n|`.
    fabs(d: V, n: V) => [fabs V(d).s4, V(n).s4];
    /// `d = sqrt(n)`.
    fsqrt(d: V, n: V) => [fsqrt V(d).s4, V(n).s4];
    /// Reciprocal estimate (8 bits).
    frecpe(d: V, n: V) => [frecpe V(d).s4, V(n).s4];
    /// Newton step of the reciprocal: `2 - n * m`.
    frecps(d: V, n: V, m: V) => [frecps V(d).s4, V(n).s4, V(m).s4];
    /// Rounds to integral, ties to even.
    frintn(d: V, n: V) => [frintn V(d).s4, V(n).s4];
    /// Rounds towards minus infinity.
    frintm(d: V, n: V) => [frintm V(d).s4, V(n).s4];
    /// Rounds towards plus infinity.
    frintp(d: V, n: V) => [frintp V(d).s4, V(n).s4];
    /// Rounds towards zero.
    frintz(d: V, n: V) => [frintz V(d).s4, V(n).s4];
    /// To i32, ties to even.
    fcvtns(d: V, n: V) => [fcvtns V(d).s4, V(n).s4];
    /// To i32, towards zero.
    fcvtzs(d: V, n: V) => [fcvtzs V(d).s4, V(n).s4];
    /// From i32.
    scvtf(d: V, n: V) => [scvtf V(d).s4, V(n).s4];
    /// From u32.
    ucvtf(d: V, n: V) => [ucvtf V(d).s4, V(n).s4];
    /// Lanes of ones where `n > m`.
    fcmgt(d: V, n: V, m: V) => [fcmgt V(d).s4, V(n).s4, V(m).s4];
    /// Lanes of ones where `n >= m`.
    fcmge(d: V, n: V, m: V) => [fcmge V(d).s4, V(n).s4, V(m).s4];
    /// Lanes of ones where `n == m`.
    fcmeq(d: V, n: V, m: V) => [fcmeq V(d).s4, V(n).s4, V(m).s4];
    /// Sums of neighbours: `n` in the low half, `m` in the high half.
    faddp(d: V, n: V, m: V) => [faddp V(d).s4, V(n).s4, V(m).s4];
    /// Maxima of neighbours.
    fmaxp(d: V, n: V, m: V) => [fmaxp V(d).s4, V(n).s4, V(m).s4];
    /// Minima of neighbours.
    fminp(d: V, n: V, m: V) => [fminp V(d).s4, V(n).s4, V(m).s4];
    /// Sum of the low two lanes, into a scalar.
    faddp_s(d: V, n: V) => [faddp S(d), V(n).s2];
    /// Maximum of four lanes, into a scalar.
    fmaxv(d: V, n: V) => [fmaxv S(d), V(n).s4];
    /// Minimum of four lanes, into a scalar.
    fminv(d: V, n: V) => [fminv S(d), V(n).s4];

    // Bits and lanes.
    /// `d = d ? n : m`, bit by bit.
    bsl(d: V, n: V, m: V) => [bsl V(d).b16, V(n).b16, V(m).b16];
    /// `d = m ? n : d`, bit by bit.
    bit(d: V, n: V, m: V) => [bit V(d).b16, V(n).b16, V(m).b16];
    /// `d = m ? d : n`, bit by bit.
    bif(d: V, n: V, m: V) => [bif V(d).b16, V(n).b16, V(m).b16];
    /// Bitwise and.
    and_v(d: V, n: V, m: V) => [and V(d).b16, V(n).b16, V(m).b16];
    /// Bitwise or.
    orr_v(d: V, n: V, m: V) => [orr V(d).b16, V(n).b16, V(m).b16];
    /// Bitwise exclusive or.
    eor_v(d: V, n: V, m: V) => [eor V(d).b16, V(n).b16, V(m).b16];
    /// Bitwise not.
    not_v(d: V, n: V) => [mvn V(d).b16, V(n).b16];
    /// `d = n & !m`.
    bic_v(d: V, n: V, m: V) => [bic V(d).b16, V(n).b16, V(m).b16];
    /// Zero.
    zero(d: V) => [movi V(d).d2, 0];
    /// i32 sum.
    add_v(d: V, n: V, m: V) => [add V(d).s4, V(n).s4, V(m).s4];
    /// i32 difference.
    sub_v(d: V, n: V, m: V) => [sub V(d).s4, V(n).s4, V(m).s4];
    /// i32 shift left, shift < 32.
    shl_v(d: V, n: V, shift: u32) => [shl V(d).s4, V(n).s4, shift];
    /// i32 shift right with sign, 1 <= shift <= 32.
    sshr_v(d: V, n: V, shift: u32) => [sshr V(d).s4, V(n).s4, shift];
    /// u32 shift right, 1 <= shift <= 32.
    ushr_v(d: V, n: V, shift: u32) => [ushr V(d).s4, V(n).s4, shift];
    /// Interleaves even lanes.
    trn1(d: V, n: V, m: V) => [trn1 V(d).s4, V(n).s4, V(m).s4];
    /// Interleaves odd lanes.
    trn2(d: V, n: V, m: V) => [trn2 V(d).s4, V(n).s4, V(m).s4];
    /// Low halves: `n` then `m`.
    trn1_d(d: V, n: V, m: V) => [trn1 V(d).d2, V(n).d2, V(m).d2];
    /// High halves: `n` then `m`.
    trn2_d(d: V, n: V, m: V) => [trn2 V(d).d2, V(n).d2, V(m).d2];
    /// Interleaves the low halves.
    zip1(d: V, n: V, m: V) => [zip1 V(d).s4, V(n).s4, V(m).s4];
    /// Interleaves the high halves.
    zip2(d: V, n: V, m: V) => [zip2 V(d).s4, V(n).s4, V(m).s4];
    /// Even lanes of `n` then `m`.
    uzp1(d: V, n: V, m: V) => [uzp1 V(d).s4, V(n).s4, V(m).s4];
    /// Odd lanes of `n` then `m`.
    uzp2(d: V, n: V, m: V) => [uzp2 V(d).s4, V(n).s4, V(m).s4];
    /// Bytes of `n:m` from byte `first` on, first < 16.
    ext(d: V, n: V, m: V, first: u32) => [ext V(d).b16, V(n).b16, V(m).b16, first];
    /// Reverses lanes within each half.
    rev64(d: V, n: V) => [rev64 V(d).s4, V(n).s4];
    /// All lanes are lane `lane` of `n`.
    dup_e(d: V, n: V, lane: u32) => [dup V(d).s4, V(n).s[lane]];
    /// All lanes are the low 32 bits of `n`.
    dup_x(d: V, n: X) => [dup V(d).s4, W(n)];
    /// Lane `to` of `d` is lane `from` of `n`.
    ins_e(d: V, to: u32, n: V, from: u32) => [ins V(d).s[to], V(n).s[from]];
    /// Half `to` of `d` is half `from` of `n`.
    ins_d(d: V, to: u32, n: V, from: u32) => [ins V(d).d[to], V(n).d[from]];
    /// Lane `to` of `d` is the low 32 bits of `n`.
    ins_x(d: V, to: u32, n: X) => [ins V(d).s[to], W(n)];
    /// The low 32 bits of `d` are lane `lane` of `n`.
    umov(d: X, n: V, lane: u32) => [umov W(d), V(n).s[lane]];

    // f32, scalar (the other lanes become zero).
    /// Scalar copy.
    fmov_s(d: V, n: V) => [fmov S(d), S(n)];
    /// Scalar from the bits of a general register.
    fmov_sx(d: V, n: X) => [fmov S(d), W(n)];
    /// Bits of a scalar into a general register.
    fmov_xs(d: X, n: V) => [fmov W(d), S(n)];
    /// Scalar sum.
    fadd_s(d: V, n: V, m: V) => [fadd S(d), S(n), S(m)];
    /// Scalar difference.
    fsub_s(d: V, n: V, m: V) => [fsub S(d), S(n), S(m)];
    /// Scalar product.
    fmul_s(d: V, n: V, m: V) => [fmul S(d), S(n), S(m)];
    /// Scalar quotient.
    fdiv_s(d: V, n: V, m: V) => [fdiv S(d), S(n), S(m)];
    /// Scalar `d = a + n * m`.
    fmadd_s(d: V, n: V, m: V, a: V) => [fmadd S(d), S(n), S(m), S(a)];
    /// Scalar square root.
    fsqrt_s(d: V, n: V) => [fsqrt S(d), S(n)];
    /// Scalar maximum.
    fmax_s(d: V, n: V, m: V) => [fmax S(d), S(n), S(m)];
    /// Scalar minimum.
    fmin_s(d: V, n: V, m: V) => [fmin S(d), S(n), S(m)];
    /// Scalar comparison into the flags.
    fcmp_s(n: V, m: V) => [fcmp S(n), S(m)];
    /// f32 to i64, towards zero.
    fcvtzs_xs(d: X, n: V) => [fcvtzs X(d), S(n)];
    /// i64 to f32.
    scvtf_sx(d: V, n: X) => [scvtf S(d), X(n)];
    /// u64 to f32.
    ucvtf_sx(d: V, n: X) => [ucvtf S(d), X(n)];
    /// i32 (low half of a general register) to f32.
    scvtf_sw(d: V, n: X) => [scvtf S(d), W(n)];

    /// Does nothing; numbers 0x40-0x5f mark regions for instruction counts.
    hint(number: u32) => [hint number];
}
