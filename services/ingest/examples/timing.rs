use std::time::Instant;
use ingest::*;
fn main() {
    let p = std::path::Path::new("/work/shared/data/daily_bars.parquet");
    for _ in 0..15 { let t = Instant::now(); let b = read_daily(p, &ReadOptions::default()).unwrap(); println!("read_daily {:?} {}", t.elapsed(), b.n_bars()); }
    for _ in 0..3 { let t = Instant::now(); let mut f = ReplayFeed::open(p.parent().unwrap(), &ReplayOptions::default()).unwrap(); let t1 = t.elapsed(); let mut n=0; while let Some(s)=f.next_step() { n+=s.bars.len(); } println!("replay open {t1:?} all {:?} {n}", t.elapsed()); }
    for _ in 0..3 { let t = Instant::now(); let mut f = SyntheticFeed::new(&SyntheticOptions::default()); let mut n=0; for _ in 0..260 { n+=f.next_step().unwrap().bars.len(); } println!("synthetic {:?} {n}", t.elapsed()); }
}
