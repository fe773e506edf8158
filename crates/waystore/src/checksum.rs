//! XXH3, the checksum of everything that is stored (`docs/format.md`).
//!
//! Knows bytes and seeds. The library behind it uses the widest instructions that the processor has, found out while the
//! program runs.

use std::hash::Hasher as _;

use twox_hash::XxHash3_64;

/// The 64-bit XXH3 hash of `bytes` with this seed.
pub(crate) fn xxh3(bytes: &[u8], seed: u64) -> u64 {
    XxHash3_64::oneshot_with_seed(seed, bytes)
}

/// The same of bytes that come one after the other, with the seed 0.
pub(crate) struct Running(XxHash3_64);

impl Running {
    pub(crate) fn new() -> Self {
        Self(XxHash3_64::new())
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// The hash of what came since the last call.
    pub(crate) fn take(&mut self) -> u64 {
        let done = std::mem::replace(&mut self.0, XxHash3_64::new());
        done.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u64 = 0x5EED_5EED_5EED_5EED;

    /// Values of the reference implementation: what is on disks was written with them.
    #[test]
    fn hashes_are_those_of_xxh3_at_every_kind_of_length() {
        let bytes: Vec<u8> = (0..5000_u32).map(|at| (at * 31 % 251) as u8).collect();
        let known = [
            (0, 0, 0x2D06_8005_38D3_94C2),
            (0, SEED, 0xAD94_902A_93FE_7C8C),
            (3, 0, 0x3698_B801_91E6_25F9),
            (3, SEED, 0x4083_926D_2B5B_74AE),
            (8, 0, 0x60E1_BAA9_1347_A1F2),
            (8, SEED, 0xC692_18F2_9F42_7987),
            (16, 0, 0x8626_370B_70D8_AC70),
            (16, SEED, 0x20D4_7684_2549_40D4),
            (96, 0, 0x67D9_99F1_345E_5290),
            (96, SEED, 0x095B_33FF_E668_CCE7),
            (200, 0, 0xC063_67D4_05BD_C71D),
            (200, SEED, 0xAFE6_05F1_242A_0774),
            (300, 0, 0x2536_56B9_AABF_8EAD),
            (300, SEED, 0xA83A_C466_33B8_D2E3),
            (1100, 0, 0x37F2_800E_B787_BAC4),
            (1100, SEED, 0x411C_6B7B_ECFA_E8BF),
            (4096, 0, 0xF250_6E94_C3D1_2D24),
            (4096, SEED, 0x4952_1A5F_35EB_6F58),
            (5000, 0, 0xA092_D731_1629_1201),
            (5000, SEED, 0x5337_7541_6B83_232C),
        ];
        for (length, seed, hash) in known {
            assert_eq!(xxh3(&bytes[..length], seed), hash, "{length} bytes, seed {seed}");
        }
    }

    #[test]
    fn bytes_in_pieces_hash_like_the_whole() {
        let bytes: Vec<u8> = (0..5000_u32).map(|at| (at * 31 % 251) as u8).collect();
        let mut running = Running::new();
        for _ in 0..2 {
            bytes.chunks(333).for_each(|piece| running.update(piece));
            assert_eq!(running.take(), xxh3(&bytes, 0));
        }
    }
}
