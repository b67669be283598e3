//! A plan of one's own on made-up bars, as a stream would bring them: forming, final, corrected.
//!
//! `cargo run --release -p indicator --example columns`

use indicator::{PlanBuilder, Rsi};
use schemas::{Bar, BarFlags, EventTime, Timeframe};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // One indicator on its own.
    let mut rsi = Rsi::new(9)?;
    println!("RSI of 9 has its first value with bar {}", rsi.warm_up());

    // Some native columns, one at other parameters, and functions of TA-Lib by their names.
    let plan = PlanBuilder::empty()
        .rsi(14)
        .rsi(9)
        .bollinger(20, 2.0)
        .extra("smooth = ta:T3(period = 8)")
        .extra("ta:CDLENGULFING")
        .build()?;
    for column in plan.columns().columns() {
        println!("{column:>16} from bar {}", plan.need(column).unwrap_or_default());
    }

    let mut slot = plan.start(Timeframe::D1);
    for day in 0..60 {
        let close = 100.0 + 10.0 * (f64::from(day) * 0.4).sin();
        let final_bar = bar(day, close);
        // While the session lasts, the same bar comes again and again. None of it is kept.
        let shown = slot.amend(&Bar { flags: BarFlags::empty(), ..bar(day, close * 0.99) });
        let row = slot.close(&final_bar);
        let own = rsi.update(close);
        if day >= 57 {
            println!("day {day}: forming {}, final {}", text(&shown), text(&row));
            println!("        RSI of 9 alone: {own:?}");
        }
    }
    // The last bar was wrong: its right version takes its place.
    println!("corrected {}", text(&slot.correct(&Bar { revision: 1, ..bar(59, 95.0) })));

    // Everything that is wrong with a plan is said at once.
    let wrong = PlanBuilder::new().extra("rsi(1)").extra("ta:ENGULFING").build();
    println!("{}", wrong.err().ok_or("it is wrong")?);
    Ok(())
}

fn bar(day: i32, close: f64) -> Bar {
    let (open, high, low) = (close * 0.995, close * 1.01, close * 0.985);
    let open_time = EventTime::from_days(day);
    Bar { open_time, open, high, low, close, volume: 1e6, revision: 0, flags: BarFlags::FINAL }
}

fn text(row: &[f64]) -> String {
    let number = |value: &f64| if value.is_nan() { "missing".to_owned() } else { format!("{value:.2}") };
    row.iter().map(number).collect::<Vec<_>>().join(" ")
}
