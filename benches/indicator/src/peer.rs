//! The crate `ta-lib`: a stream per function, or its batch functions. Its batch functions take within 14 % of the time of
//! TA-Lib's C library.

use schemas::Bar;
use ta_lib::{
    AdStream, AdoscStream, AdxStream, AroonStream, AroonoscStream, AtrStream, BbandsStream, CciStream, Core, EmaStream,
    KamaStream, LinearregSlopeStream, MAType, MacdStream, MaxStream, MfiStream, MidpriceStream, MinStream,
    MinusDiStream, MomStream, NatrStream, ObvStream, PlusDiStream, PpoStream, RetCode, RocStream, RsiStream, SarStream,
    SmaStream, StochStream, StochrsiStream, TrangeStream, TrixStream, UltoscStream, WillrStream,
};

/// The columns of our plan that TA-Lib has, in the order of the outputs. For the last two, we show the distance from what
/// TA-Lib returns.
pub(crate) const COLUMNS: [&str; 55] = [
    "sma10",
    "sma20",
    "sma50",
    "sma200",
    "ema8",
    "ema21",
    "ema50",
    "keltner_mid20",
    "rsi14",
    "macd",
    "macd_signal",
    "macd_hist",
    "trange",
    "atr14",
    "natr14",
    "plus_di14",
    "minus_di14",
    "adx14",
    "bb_upper20",
    "bb_mid20",
    "bb_lower20",
    "stoch_k",
    "stoch_d",
    "stochrsi_14_5_3_k",
    "stochrsi_14_5_3_d",
    "stochrsi_14_14_3_k",
    "stochrsi_14_14_3_d",
    "cci20",
    "mfi14",
    "obv",
    "willr14",
    "roc10",
    "mom10",
    "trix15",
    "trix30",
    "ultosc_7_14_28",
    "aroon_down25",
    "aroon_up25",
    "aroonosc25",
    "sar_002_02",
    "kama10",
    "kama30",
    "ad",
    "adosc_3_10",
    "ppo_12_26_sma",
    "ppo_12_26_ema",
    "linreg_slope20",
    "donchian_up20",
    "donchian_lo20",
    "donchian_mid20",
    "ichimoku_tenkan",
    "ichimoku_kijun",
    "ichimoku_span_b",
    "dist_high252",
    "dist_low252",
];

pub(crate) type Row = [f64; COLUMNS.len()];

/// A symbol's bars as TA-Lib takes them.
#[derive(Debug, Default, Clone)]
pub(crate) struct Series {
    high: Vec<f64>,
    low: Vec<f64>,
    close: Vec<f64>,
    volume: Vec<f64>,
}

impl Series {
    pub(crate) fn new(bars: &[Bar]) -> Self {
        let column = |number: fn(&Bar) -> f64| bars.iter().map(number).collect();
        Self {
            high: column(|bar| bar.high),
            low: column(|bar| bar.low),
            close: column(|bar| bar.close),
            volume: column(|bar| bar.volume),
        }
    }
}

macro_rules! functions {
    (
        $([$out:tt] $field:ident: $stream:ident = $open:ident / $batch:ident($($input:ident),*; $($option:expr),*);)*
    ) => {
        /// A stream per function.
        pub(crate) struct Streams {
            $($field: $stream,)*
        }

        impl Streams {
            pub(crate) fn open(history: &Series) -> Result<Self, RetCode> {
                let core = Core::new();
                Ok(Self { $($field: core.$open($(&history.$input,)* $($option),*)?.0,)* })
            }

            /// Takes in a bar.
            #[inline]
            pub(crate) fn update(&mut self, bar: &Bar) -> Result<Row, RetCode> {
                let mut row = [0.0; _];
                let mut next = row.iter_mut();
                $(functions!(@set $out next self.$field.update($(bar.$input),*)?);)*
                Ok(row)
            }

            /// The row as if the bar closed now.
            #[inline]
            pub(crate) fn peek(&self, bar: &Bar) -> Result<Row, RetCode> {
                let mut row = [0.0; _];
                let mut next = row.iter_mut();
                $(functions!(@set $out next self.$field.peek($(bar.$input),*)?);)*
                Ok(row)
            }
        }

        /// Every function over a whole series, each output into its buffer.
        pub(crate) fn batch(series: &Series, buffers: &mut [Vec<f64>]) -> Result<(), RetCode> {
            let core = Core::new();
            let end = series.close.len() - 1;
            let mut buffers = buffers.iter_mut();
            $(functions!(@batch $out core $batch end buffers (($(&series.$input),*) ($($option),*)));)*
            Ok(())
        }
    };
    (@set 1 $next:ident $value:expr) => { put(&mut $next, $value); };
    (@set 2 $next:ident $value:expr) => {
        let (a, b) = $value;
        put(&mut $next, a);
        put(&mut $next, b);
    };
    (@set 3 $next:ident $value:expr) => {
        let (a, b, c) = $value;
        put(&mut $next, a);
        put(&mut $next, b);
        put(&mut $next, c);
    };
    (@batch 1 $core:ident $batch:ident $end:ident $buffers:ident (($($input:expr),*) ($($option:expr),*))) => {
        $core.$batch(0, $end, $($input,)* $($option,)* next(&mut $buffers))?;
    };
    (@batch 2 $core:ident $batch:ident $end:ident $buffers:ident (($($input:expr),*) ($($option:expr),*))) => {
        let (a, b) = (next(&mut $buffers), next(&mut $buffers));
        $core.$batch(0, $end, $($input,)* $($option,)* a, b)?;
    };
    (@batch 3 $core:ident $batch:ident $end:ident $buffers:ident (($($input:expr),*) ($($option:expr),*))) => {
        let (a, b, c) = (next(&mut $buffers), next(&mut $buffers), next(&mut $buffers));
        $core.$batch(0, $end, $($input,)* $($option,)* a, b, c)?;
    };
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "the compiler must see that every place is written once")]
fn put<'a>(next: &mut impl Iterator<Item = &'a mut f64>, value: f64) {
    *next.next().expect("there is a place for every column") = value;
}

fn next<'a>(buffers: &mut impl Iterator<Item = &'a mut Vec<f64>>) -> &'a mut [f64] {
    buffers.next().expect("there is a buffer for every column")
}

functions! {
    [1] sma10: SmaStream = sma_open / sma(close; 10);
    [1] sma20: SmaStream = sma_open / sma(close; 20);
    [1] sma50: SmaStream = sma_open / sma(close; 50);
    [1] sma200: SmaStream = sma_open / sma(close; 200);
    [1] ema8: EmaStream = ema_open / ema(close; 8);
    [1] ema21: EmaStream = ema_open / ema(close; 21);
    [1] ema50: EmaStream = ema_open / ema(close; 50);
    [1] ema20: EmaStream = ema_open / ema(close; 20);
    [1] rsi: RsiStream = rsi_open / rsi(close; 14);
    [3] macd: MacdStream = macd_open / macd(close; 12, 26, 9);
    [1] trange: TrangeStream = trange_open / trange(high, low, close;);
    [1] atr: AtrStream = atr_open / atr(high, low, close; 14);
    [1] natr: NatrStream = natr_open / natr(high, low, close; 14);
    [1] plus_di: PlusDiStream = plus_di_open / plus_di(high, low, close; 14);
    [1] minus_di: MinusDiStream = minus_di_open / minus_di(high, low, close; 14);
    [1] adx: AdxStream = adx_open / adx(high, low, close; 14);
    [3] bbands: BbandsStream = bbands_open / bbands(close; 20, 2.0, 2.0, MAType::SMA);
    [2] stoch: StochStream = stoch_open / stoch(high, low, close; 14, 3, MAType::SMA, 3, MAType::SMA);
    [2] stochrsi5: StochrsiStream = stochrsi_open / stochrsi(close; 14, 5, 3, MAType::SMA);
    [2] stochrsi14: StochrsiStream = stochrsi_open / stochrsi(close; 14, 14, 3, MAType::SMA);
    [1] cci: CciStream = cci_open / cci(high, low, close; 20);
    [1] mfi: MfiStream = mfi_open / mfi(high, low, close, volume; 14);
    [1] obv: ObvStream = obv_open / obv(close, volume;);
    [1] willr: WillrStream = willr_open / willr(high, low, close; 14);
    [1] roc: RocStream = roc_open / roc(close; 10);
    [1] mom: MomStream = mom_open / mom(close; 10);
    [1] trix15: TrixStream = trix_open / trix(close; 15);
    [1] trix30: TrixStream = trix_open / trix(close; 30);
    [1] ultosc: UltoscStream = ultosc_open / ultosc(high, low, close; 7, 14, 28);
    [2] aroon: AroonStream = aroon_open / aroon(high, low; 25);
    [1] aroonosc: AroonoscStream = aroonosc_open / aroonosc(high, low; 25);
    [1] sar: SarStream = sar_open / sar(high, low; 0.02, 0.2);
    [1] kama10: KamaStream = kama_open / kama(close; 10);
    [1] kama30: KamaStream = kama_open / kama(close; 30);
    [1] ad: AdStream = ad_open / ad(high, low, close, volume;);
    [1] adosc: AdoscStream = adosc_open / adosc(high, low, close, volume; 3, 10);
    [1] ppo_sma: PpoStream = ppo_open / ppo(close; 12, 26, MAType::SMA);
    [1] ppo_ema: PpoStream = ppo_open / ppo(close; 12, 26, MAType::EMA);
    [1] slope: LinearregSlopeStream = linearreg_slope_open / linearreg_slope(close; 20);
    [1] donchian_up: MaxStream = max_open / max(high; 20);
    [1] donchian_low: MinStream = min_open / min(low; 20);
    [1] donchian_middle: MidpriceStream = midprice_open / midprice(high, low; 20);
    [1] tenkan: MidpriceStream = midprice_open / midprice(high, low; 9);
    [1] kijun: MidpriceStream = midprice_open / midprice(high, low; 26);
    [1] span_b: MidpriceStream = midprice_open / midprice(high, low; 52);
    [1] high252: MaxStream = max_open / max(close; 252);
    [1] low252: MinStream = min_open / min(close; 252);
}
