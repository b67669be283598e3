//! Every function of the crate `ta-lib` behind one trait: it has a type and an opener of its own for each.

use ta_lib::abstract_api::FuncId;
use ta_lib::{Core, RetCode};

use super::{Handle, Number, Row, ToRow};

macro_rules! functions {
    ($($id:ident: $stream:ident = $open:ident([$($input:literal)+] $(, $kind:ident $parameter:literal)*);)*) => {
        $(impl Handle for ta_lib::$stream {
            fn take(&mut self, inputs: &[f64]) -> Result<Row, RetCode> {
                self.update($(inputs[$input]),+).map(ToRow::to_row)
            }

            fn show(&self, inputs: &[f64]) -> Result<Row, RetCode> {
                self.peek($(inputs[$input]),+).map(ToRow::to_row)
            }

            fn boxed(&self) -> Box<dyn Handle> {
                Box::new(self.clone())
            }
        })*

        /// Starts a function on as many bars as it needs for its first value, a slice for each input.
        pub(super) fn open(
            id: FuncId,
            numbers: &[Number],
            inputs: &[&[f64]],
        ) -> Result<(Box<dyn Handle>, Row), RetCode> {
            let core = Core::new();
            match id {
                $(FuncId::$id => {
                    let (handle, value) = core.$open($(inputs[$input]),+ $(, numbers[$parameter].$kind()?)*)?;
                    Ok((Box::new(handle), value.to_row()))
                })*
                // The list is complete for the version that the workspace pins, which a test checks.
                _ => Err(RetCode::FuncNotFound),
            }
        }
    };
}

functions! {
    AC: AcStream = ac_open([0 1], int 0, int 1, int 2);
    ACCBANDS: AccbandsStream = accbands_open([0 1 2], int 0);
    ACOS: AcosStream = acos_open([0]);
    AD: AdStream = ad_open([0 1 2 3]);
    ADD: AddStream = add_open([0 1]);
    ADOSC: AdoscStream = adosc_open([0 1 2 3], int 0, int 1);
    ADR: AdrStream = adr_open([0 1], int 0);
    ADX: AdxStream = adx_open([0 1 2], int 0);
    ADXR: AdxrStream = adxr_open([0 1 2], int 0);
    ALMA: AlmaStream = alma_open([0], int 0, real 1, real 2);
    AO: AoStream = ao_open([0 1], int 0, int 1);
    APO: ApoStream = apo_open([0], int 0, int 1, average 2);
    AROON: AroonStream = aroon_open([0 1], int 0);
    AROONOSC: AroonoscStream = aroonosc_open([0 1], int 0);
    ASI: AsiStream = asi_open([0 1 2 3], real 0);
    ASIN: AsinStream = asin_open([0]);
    ATAN: AtanStream = atan_open([0]);
    ATR: AtrStream = atr_open([0 1 2], int 0);
    AVGDEV: AvgdevStream = avgdev_open([0], int 0);
    AVGPRICE: AvgpriceStream = avgprice_open([0 1 2 3]);
    BBANDS: BbandsStream = bbands_open([0], int 0, real 1, real 2, average 3);
    BBW: BbwStream = bbw_open([0], int 0, real 1, real 2, average 3);
    BETA: BetaStream = beta_open([0 1], int 0);
    BOP: BopStream = bop_open([0 1 2 3]);
    CCI: CciStream = cci_open([0 1 2], int 0);
    CDL2CROWS: Cdl2crowsStream = cdl2crows_open([0 1 2 3]);
    CDL3BLACKCROWS: Cdl3blackcrowsStream = cdl3blackcrows_open([0 1 2 3]);
    CDL3INSIDE: Cdl3insideStream = cdl3inside_open([0 1 2 3]);
    CDL3LINESTRIKE: Cdl3linestrikeStream = cdl3linestrike_open([0 1 2 3]);
    CDL3OUTSIDE: Cdl3outsideStream = cdl3outside_open([0 1 2 3]);
    CDL3STARSINSOUTH: Cdl3starsinsouthStream = cdl3starsinsouth_open([0 1 2 3]);
    CDL3WHITESOLDIERS: Cdl3whitesoldiersStream = cdl3whitesoldiers_open([0 1 2 3]);
    CDLABANDONEDBABY: CdlabandonedbabyStream = cdlabandonedbaby_open([0 1 2 3], real 0);
    CDLADVANCEBLOCK: CdladvanceblockStream = cdladvanceblock_open([0 1 2 3]);
    CDLBELTHOLD: CdlbeltholdStream = cdlbelthold_open([0 1 2 3]);
    CDLBREAKAWAY: CdlbreakawayStream = cdlbreakaway_open([0 1 2 3]);
    CDLCLOSINGMARUBOZU: CdlclosingmarubozuStream = cdlclosingmarubozu_open([0 1 2 3]);
    CDLCONCEALBABYSWALL: CdlconcealbabyswallStream = cdlconcealbabyswall_open([0 1 2 3]);
    CDLCOUNTERATTACK: CdlcounterattackStream = cdlcounterattack_open([0 1 2 3]);
    CDLDARKCLOUDCOVER: CdldarkcloudcoverStream = cdldarkcloudcover_open([0 1 2 3], real 0);
    CDLDOJI: CdldojiStream = cdldoji_open([0 1 2 3]);
    CDLDOJISTAR: CdldojistarStream = cdldojistar_open([0 1 2 3]);
    CDLDRAGONFLYDOJI: CdldragonflydojiStream = cdldragonflydoji_open([0 1 2 3]);
    CDLENGULFING: CdlengulfingStream = cdlengulfing_open([0 1 2 3]);
    CDLEVENINGDOJISTAR: CdleveningdojistarStream = cdleveningdojistar_open([0 1 2 3], real 0);
    CDLEVENINGSTAR: CdleveningstarStream = cdleveningstar_open([0 1 2 3], real 0);
    CDLGAPSIDESIDEWHITE: CdlgapsidesidewhiteStream = cdlgapsidesidewhite_open([0 1 2 3]);
    CDLGRAVESTONEDOJI: CdlgravestonedojiStream = cdlgravestonedoji_open([0 1 2 3]);
    CDLHAMMER: CdlhammerStream = cdlhammer_open([0 1 2 3]);
    CDLHANGINGMAN: CdlhangingmanStream = cdlhangingman_open([0 1 2 3]);
    CDLHARAMI: CdlharamiStream = cdlharami_open([0 1 2 3]);
    CDLHARAMICROSS: CdlharamicrossStream = cdlharamicross_open([0 1 2 3]);
    CDLHIGHWAVE: CdlhighwaveStream = cdlhighwave_open([0 1 2 3]);
    CDLHIKKAKE: CdlhikkakeStream = cdlhikkake_open([0 1 2 3]);
    CDLHIKKAKEMOD: CdlhikkakemodStream = cdlhikkakemod_open([0 1 2 3]);
    CDLHOMINGPIGEON: CdlhomingpigeonStream = cdlhomingpigeon_open([0 1 2 3]);
    CDLIDENTICAL3CROWS: Cdlidentical3crowsStream = cdlidentical3crows_open([0 1 2 3]);
    CDLINNECK: CdlinneckStream = cdlinneck_open([0 1 2 3]);
    CDLINVERTEDHAMMER: CdlinvertedhammerStream = cdlinvertedhammer_open([0 1 2 3]);
    CDLKICKING: CdlkickingStream = cdlkicking_open([0 1 2 3]);
    CDLKICKINGBYLENGTH: CdlkickingbylengthStream = cdlkickingbylength_open([0 1 2 3]);
    CDLLADDERBOTTOM: CdlladderbottomStream = cdlladderbottom_open([0 1 2 3]);
    CDLLONGLEGGEDDOJI: CdllongleggeddojiStream = cdllongleggeddoji_open([0 1 2 3]);
    CDLLONGLINE: CdllonglineStream = cdllongline_open([0 1 2 3]);
    CDLMARUBOZU: CdlmarubozuStream = cdlmarubozu_open([0 1 2 3]);
    CDLMATCHINGLOW: CdlmatchinglowStream = cdlmatchinglow_open([0 1 2 3]);
    CDLMATHOLD: CdlmatholdStream = cdlmathold_open([0 1 2 3], real 0);
    CDLMORNINGDOJISTAR: CdlmorningdojistarStream = cdlmorningdojistar_open([0 1 2 3], real 0);
    CDLMORNINGSTAR: CdlmorningstarStream = cdlmorningstar_open([0 1 2 3], real 0);
    CDLONNECK: CdlonneckStream = cdlonneck_open([0 1 2 3]);
    CDLPIERCING: CdlpiercingStream = cdlpiercing_open([0 1 2 3]);
    CDLRICKSHAWMAN: CdlrickshawmanStream = cdlrickshawman_open([0 1 2 3]);
    CDLRISEFALL3METHODS: Cdlrisefall3methodsStream = cdlrisefall3methods_open([0 1 2 3]);
    CDLSEPARATINGLINES: CdlseparatinglinesStream = cdlseparatinglines_open([0 1 2 3]);
    CDLSHOOTINGSTAR: CdlshootingstarStream = cdlshootingstar_open([0 1 2 3]);
    CDLSHORTLINE: CdlshortlineStream = cdlshortline_open([0 1 2 3]);
    CDLSPINNINGTOP: CdlspinningtopStream = cdlspinningtop_open([0 1 2 3]);
    CDLSTALLEDPATTERN: CdlstalledpatternStream = cdlstalledpattern_open([0 1 2 3]);
    CDLSTICKSANDWICH: CdlsticksandwichStream = cdlsticksandwich_open([0 1 2 3]);
    CDLTAKURI: CdltakuriStream = cdltakuri_open([0 1 2 3]);
    CDLTASUKIGAP: CdltasukigapStream = cdltasukigap_open([0 1 2 3]);
    CDLTHRUSTING: CdlthrustingStream = cdlthrusting_open([0 1 2 3]);
    CDLTRISTAR: CdltristarStream = cdltristar_open([0 1 2 3]);
    CDLUNIQUE3RIVER: Cdlunique3riverStream = cdlunique3river_open([0 1 2 3]);
    CDLUPSIDEGAP2CROWS: Cdlupsidegap2crowsStream = cdlupsidegap2crows_open([0 1 2 3]);
    CDLXSIDEGAP3METHODS: Cdlxsidegap3methodsStream = cdlxsidegap3methods_open([0 1 2 3]);
    CEIL: CeilStream = ceil_open([0]);
    CG: CgStream = cg_open([0], int 0);
    CHOP: ChopStream = chop_open([0 1 2], int 0);
    CHOPTR: ChoptrStream = choptr_open([0 1 2], int 0);
    CKSP: CkspStream = cksp_open([0 1 2], int 0, real 1, int 2);
    CMF: CmfStream = cmf_open([0 1 2 3], int 0);
    CMO: CmoStream = cmo_open([0], int 0);
    CMOU: CmouStream = cmou_open([0], int 0);
    COPPOCK: CoppockStream = coppock_open([0], int 0, int 1, int 2);
    CORREL: CorrelStream = correl_open([0 1], int 0);
    COS: CosStream = cos_open([0]);
    COSH: CoshStream = cosh_open([0]);
    CRSI: CrsiStream = crsi_open([0], int 0, int 1, int 2);
    CTI: CtiStream = cti_open([0], int 0);
    CUMSUM: CumsumStream = cumsum_open([0]);
    CVI: CviStream = cvi_open([0 1], int 0, int 1);
    DEMA: DemaStream = dema_open([0], int 0);
    DIV: DivStream = div_open([0 1]);
    DONCHIAN: DonchianStream = donchian_open([0 1], int 0);
    DOSC: DoscStream = dosc_open([0], int 0, int 1, int 2, int 3);
    DPO: DpoStream = dpo_open([0], int 0);
    DX: DxStream = dx_open([0 1 2], int 0);
    EFI: EfiStream = efi_open([0 1], int 0);
    EMA: EmaStream = ema_open([0], int 0);
    EMV: EmvStream = emv_open([0 1 2], int 0, real 1);
    ER: ErStream = er_open([0], int 0);
    ERI: EriStream = eri_open([0 1 2], int 0);
    EXP: ExpStream = exp_open([0]);
    FISHER: FisherStream = fisher_open([0 1], int 0);
    FLOOR: FloorStream = floor_open([0]);
    FOSC: FoscStream = fosc_open([0], int 0);
    FRACTAL: FractalStream = fractal_open([0 1], int 0, int 1);
    FRAMA: FramaStream = frama_open([0 1], int 0);
    HA: HaStream = ha_open([0 1 2 3]);
    HMA: HmaStream = hma_open([0], int 0);
    HT_DCPERIOD: HtDcperiodStream = ht_dcperiod_open([0]);
    HT_DCPHASE: HtDcphaseStream = ht_dcphase_open([0]);
    HT_PHASOR: HtPhasorStream = ht_phasor_open([0]);
    HT_SINE: HtSineStream = ht_sine_open([0]);
    HT_TRENDLINE: HtTrendlineStream = ht_trendline_open([0]);
    HT_TRENDMODE: HtTrendmodeStream = ht_trendmode_open([0]);
    IBS: IbsStream = ibs_open([0 1 2]);
    ICHIMOKU: IchimokuStream = ichimoku_open([0 1], int 0, int 1, int 2);
    IMI: ImiStream = imi_open([0 1], int 0);
    KAMA: KamaStream = kama_open([0], int 0);
    KC: KcStream = kc_open([0 1 2], int 0, int 1, real 2);
    KDJ: KdjStream = kdj_open([0 1 2], int 0, int 1, average 2, int 3, average 4);
    KST: KstStream = kst_open([0], int 0, int 1, int 2, int 3, int 4, int 5, int 6, int 7, int 8);
    KSTEXT: KstextStream = kstext_open([0], int 0, int 1, int 2, int 3, int 4, int 5, int 6, int 7, int 8, average 9, average 10);
    KURTOSIS: KurtosisStream = kurtosis_open([0], int 0);
    KVO: KvoStream = kvo_open([0 1 2 3], int 0, int 1, int 2);
    LINEARREG: LinearregStream = linearreg_open([0], int 0);
    LINEARREG_ANGLE: LinearregAngleStream = linearreg_angle_open([0], int 0);
    LINEARREG_INTERCEPT: LinearregInterceptStream = linearreg_intercept_open([0], int 0);
    LINEARREG_SLOPE: LinearregSlopeStream = linearreg_slope_open([0], int 0);
    LN: LnStream = ln_open([0]);
    LOG10: Log10Stream = log10_open([0]);
    MA: MaStream = ma_open([0], int 0, average 1);
    MACD: MacdStream = macd_open([0], int 0, int 1, int 2);
    MACDEXT: MacdextStream = macdext_open([0], int 0, average 1, int 2, average 3, int 4, average 5);
    MACDFIX: MacdfixStream = macdfix_open([0], int 0);
    MAMA: MamaStream = mama_open([0], real 0, real 1);
    MARKETFI: MarketfiStream = marketfi_open([0 1 2]);
    MASSI: MassiStream = massi_open([0 1], int 0, int 1);
    MAVP: MavpStream = mavp_open([0 1], int 0, int 1, average 2);
    MAX: MaxStream = max_open([0], int 0);
    MAXINDEX: MaxindexStream = maxindex_open([0], int 0);
    MCGD: McgdStream = mcgd_open([0], int 0);
    MEDIAN: MedianStream = median_open([0], int 0);
    MEDPRICE: MedpriceStream = medprice_open([0 1]);
    MFI: MfiStream = mfi_open([0 1 2 3], int 0);
    MIDPOINT: MidpointStream = midpoint_open([0], int 0);
    MIDPRICE: MidpriceStream = midprice_open([0 1], int 0);
    MIN: MinStream = min_open([0], int 0);
    MININDEX: MinindexStream = minindex_open([0], int 0);
    MINMAX: MinmaxStream = minmax_open([0], int 0);
    MINMAXINDEX: MinmaxindexStream = minmaxindex_open([0], int 0);
    MINUS_DI: MinusDiStream = minus_di_open([0 1 2], int 0);
    MINUS_DM: MinusDmStream = minus_dm_open([0 1], int 0);
    MOM: MomStream = mom_open([0], int 0);
    MULT: MultStream = mult_open([0 1]);
    NATR: NatrStream = natr_open([0 1 2], int 0);
    NVI: NviStream = nvi_open([0 1]);
    OBV: ObvStream = obv_open([0 1]);
    PERCENTB: PercentbStream = percentb_open([0], int 0, real 1, real 2, average 3);
    PERCENTILE: PercentileStream = percentile_open([0], int 0, real 1);
    PERCENTRANK: PercentrankStream = percentrank_open([0], int 0);
    PLUS_DI: PlusDiStream = plus_di_open([0 1 2], int 0);
    PLUS_DM: PlusDmStream = plus_dm_open([0 1], int 0);
    PPO: PpoStream = ppo_open([0], int 0, int 1, average 2);
    PSO: PsoStream = pso_open([0 1 2], int 0, int 1);
    PVI: PviStream = pvi_open([0 1]);
    PVO: PvoStream = pvo_open([0], int 0, int 1, average 2);
    PVT: PvtStream = pvt_open([0 1]);
    QSTICK: QstickStream = qstick_open([0 1], int 0);
    RMA: RmaStream = rma_open([0], int 0);
    ROC: RocStream = roc_open([0], int 0);
    ROCP: RocpStream = rocp_open([0], int 0);
    ROCR: RocrStream = rocr_open([0], int 0);
    ROCR100: Rocr100Stream = rocr100_open([0], int 0);
    ROGERSSATCHELL: RogerssatchellStream = rogerssatchell_open([0 1 2 3], int 0, real 1);
    RSI: RsiStream = rsi_open([0], int 0);
    RVI: RviStream = rvi_open([0], int 0, int 1);
    RVIR: RvirStream = rvir_open([0 1], int 0, int 1);
    RVOL: RvolStream = rvol_open([0], int 0);
    SAR: SarStream = sar_open([0 1], real 0, real 1);
    SAREXT: SarextStream = sarext_open([0 1], real 0, real 1, real 2, real 3, real 4, real 5, real 6, real 7);
    SI: SiStream = si_open([0 1 2 3], real 0);
    SIN: SinStream = sin_open([0]);
    SINH: SinhStream = sinh_open([0]);
    SMA: SmaStream = sma_open([0], int 0);
    SMI: SmiStream = smi_open([0 1 2], int 0, int 1, int 2, int 3);
    SQRT: SqrtStream = sqrt_open([0]);
    SQZMOM: SqzmomStream = sqzmom_open([0 1 2], int 0, real 1, int 2, real 3, real 4, real 5);
    STC: StcStream = stc_open([0], int 0, int 1, int 2);
    STDDEV: StddevStream = stddev_open([0], int 0, real 1);
    STOCH: StochStream = stoch_open([0 1 2], int 0, int 1, average 2, int 3, average 4);
    STOCHF: StochfStream = stochf_open([0 1 2], int 0, int 1, average 2);
    STOCHRSI: StochrsiStream = stochrsi_open([0], int 0, int 1, int 2, average 3);
    SUB: SubStream = sub_open([0 1]);
    SUM: SumStream = sum_open([0], int 0);
    SUPERTREND: SupertrendStream = supertrend_open([0 1 2], int 0, real 1);
    SWAK_2PHP: Swak2phpStream = swak_2php_open([0], int 0);
    SWAK_BP: SwakBpStream = swak_bp_open([0], int 0, real 1);
    SWAK_BUTTER: SwakButterStream = swak_butter_open([0], int 0);
    SWAK_GAUSS: SwakGaussStream = swak_gauss_open([0], int 0);
    SWAK_HP: SwakHpStream = swak_hp_open([0], int 0);
    T3: T3Stream = t3_open([0], int 0, real 1);
    TAN: TanStream = tan_open([0]);
    TANH: TanhStream = tanh_open([0]);
    TEMA: TemaStream = tema_open([0], int 0);
    TRANGE: TrangeStream = trange_open([0 1 2]);
    TRIMA: TrimaStream = trima_open([0], int 0);
    TRIX: TrixStream = trix_open([0], int 0);
    TSF: TsfStream = tsf_open([0], int 0);
    TSI: TsiStream = tsi_open([0], int 0, int 1);
    TYPPRICE: TyppriceStream = typprice_open([0 1 2]);
    ULTOSC: UltoscStream = ultosc_open([0 1 2], int 0, int 1, int 2);
    VAR: VarStream = var_open([0], int 0, real 1);
    VHF: VhfStream = vhf_open([0], int 0);
    VIDYA: VidyaStream = vidya_open([0], int 0, int 1);
    VORTEX: VortexStream = vortex_open([0 1 2], int 0);
    VWAP: VwapStream = vwap_open([0 1 2 3]);
    VWMA: VwmaStream = vwma_open([0 1], int 0);
    WAD: WadStream = wad_open([0 1 2]);
    WAVETREND: WavetrendStream = wavetrend_open([0 1 2], int 0, int 1, int 2);
    WCLPRICE: WclpriceStream = wclprice_open([0 1 2]);
    WILLR: WillrStream = willr_open([0 1 2], int 0);
    WMA: WmaStream = wma_open([0], int 0);
    ZIGZAG: ZigzagStream = zigzag_open([0 1], real 0, int 1);
    ZLEMA: ZlemaStream = zlema_open([0], int 0);
}
