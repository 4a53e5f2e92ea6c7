//! An escrow as a child would write it: one plain struct, unbounded numbers. And a small generator.

use escrow::{BALANCE_MAX, Epoch, Refused};

#[derive(Debug)]
pub struct Naive {
    pub epoch: u64,
    pub balance: u128,
}

impl Naive {
    pub fn new(epoch: Epoch) -> Naive {
        Naive { epoch: u64::from(epoch.number()), balance: 0 }
    }

    /// Epochs count on for ever here; the escrow's wrap.
    pub fn now(&self) -> Epoch {
        Epoch::new((self.epoch % 65_536) as u16)
    }

    pub fn sealed(&self) -> bool {
        self.epoch % 2 == 1
    }

    pub fn spend(&mut self, amount: u64) -> bool {
        let yes = !self.sealed() && self.balance >= u128::from(amount);
        if yes {
            self.balance -= u128::from(amount);
        }
        yes
    }

    pub fn deposit(&mut self, epoch: Epoch, amount: u64) -> Result<u64, Refused> {
        self.check(epoch)?;
        if self.balance + u128::from(amount) > u128::from(BALANCE_MAX) {
            return Err(Refused::TooMuch { left: self.balance as u64 });
        }
        self.balance += u128::from(amount);
        Ok(self.balance as u64)
    }

    pub fn withdraw(&mut self, epoch: Epoch, keep: u64) -> Result<u64, Refused> {
        self.check(epoch)?;
        let taken = if self.balance > u128::from(keep) { self.balance - u128::from(keep) } else { 0 };
        self.balance -= taken;
        Ok(taken as u64)
    }

    pub fn seal(&mut self, epoch: Epoch) -> Result<u64, Refused> {
        self.check(epoch)?;
        self.epoch += 1;
        Ok(std::mem::take(&mut self.balance) as u64)
    }

    pub fn open(&mut self, sealed: Epoch) -> Result<Epoch, Refused> {
        if !self.sealed() {
            return Err(Refused::Open { now: self.now() });
        }
        if sealed != self.now() {
            return Err(Refused::WrongEpoch { now: self.now() });
        }
        self.epoch += 1;
        Ok(self.now())
    }

    fn check(&self, epoch: Epoch) -> Result<(), Refused> {
        if self.sealed() {
            return Err(Refused::Sealed { now: self.now() });
        }
        if epoch != self.now() {
            return Err(Refused::WrongEpoch { now: self.now() });
        }
        Ok(())
    }
}

/// splitmix64: the same numbers on every run.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }
}
