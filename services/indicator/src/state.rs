use crate::lane::Lane;

/// What a number of the state is made of, so that a split can rescale it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Scales with the price.
    Price,
    /// Scales with the number of shares, which is the inverse of the price.
    Shares,
    /// Does not scale: a ratio, a count, or an amount of money.
    Plain,
}

/// State that is nothing but numbers.
pub(crate) trait State<L>: Copy {
    fn filled(number: L) -> Self;

    /// Calls `visitor` with every number, always in the same order. `unit` is that of a part that takes any unit.
    fn visit(&mut self, unit: Unit, visitor: &mut impl FnMut(&mut L, Unit));

    /// Calls `reader` with every number, in the same order.
    fn read(&self, reader: &mut impl FnMut(&L));
}

impl<L: Lane> State<L> for L {
    #[inline(always)]
    fn filled(number: L) -> Self {
        number
    }

    #[inline(always)]
    fn visit(&mut self, unit: Unit, visitor: &mut impl FnMut(&mut L, Unit)) {
        visitor(self, unit);
    }

    #[inline(always)]
    fn read(&self, reader: &mut impl FnMut(&L)) {
        reader(self);
    }
}

impl<L: Lane, T: State<L>> State<L> for [T; 2] {
    #[inline(always)]
    fn filled(number: L) -> Self {
        [T::filled(number); 2]
    }

    #[inline(always)]
    fn visit(&mut self, unit: Unit, visitor: &mut impl FnMut(&mut L, Unit)) {
        let [one, other] = self;
        one.visit(unit, visitor);
        other.visit(unit, visitor);
    }

    #[inline(always)]
    fn read(&self, reader: &mut impl FnMut(&L)) {
        let [one, other] = self;
        one.read(reader);
        other.read(reader);
    }
}

/// Declares state: `field: type [unit]`, in the order in which [`State::visit`] goes.
macro_rules! state {
    ($(#[$meta:meta])* struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty [$unit:ident],)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct $name<L> {
            $($(#[$field_meta])* pub(crate) $field: $type,)*
        }

        impl<L: $crate::lane::Lane> $crate::state::State<L> for $name<L> {
            #[inline(always)]
            fn filled(number: L) -> Self {
                Self { $($field: $crate::state::State::<L>::filled(number),)* }
            }

            #[inline(always)]
            fn visit(
                &mut self,
                _: $crate::state::Unit,
                visitor: &mut impl FnMut(&mut L, $crate::state::Unit),
            ) {
                $($crate::state::State::<L>::visit(&mut self.$field, $crate::state::Unit::$unit, visitor);)*
            }

            #[inline(always)]
            fn read(&self, reader: &mut impl FnMut(&L)) {
                $($crate::state::State::<L>::read(&self.$field, reader);)*
            }
        }
    };
}

pub(crate) use state;
