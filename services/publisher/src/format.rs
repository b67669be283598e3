use serde::Serialize;

/// How a connection's messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    MessagePack,
}

impl Format {
    pub(crate) const ALL: [Self; 2] = [Self::Json, Self::MessagePack];

    pub(crate) const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "technic.v1.json",
            Self::MessagePack => "technic.v1.msgpack",
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// Appends a value.
    pub(crate) fn write(self, value: &impl Serialize, out: &mut Vec<u8>) {
        match self {
            Self::Json => serde_json::to_writer(out, value).expect("plain data serialises to JSON"),
            Self::MessagePack => {
                let mut serializer = rmp_serde::Serializer::new(out).with_struct_map();
                value.serialize(&mut serializer).expect("plain data serialises to MessagePack");
            }
        }
    }

    pub(crate) fn encode(self, value: &impl Serialize) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(value, &mut bytes);
        bytes
    }
}

/// The heads of MessagePack values whose contents are encoded already.
pub(crate) mod msgpack {
    const MAP_16: u8 = 0xde;
    const FIX_MAP: u8 = 0x80;
    const FIX_MAP_MAX: u8 = 15;
    const ARRAY_32: u8 = 0xdd;

    pub(crate) fn array_head(out: &mut Vec<u8>, n_items: usize) {
        out.push(ARRAY_32);
        out.extend_from_slice(&u32::try_from(n_items).expect("a frame holds fewer items").to_be_bytes());
    }

    pub(crate) fn map_head(out: &mut Vec<u8>, n_entries: u16) {
        out.push(MAP_16);
        out.extend_from_slice(&n_entries.to_be_bytes());
    }

    /// Splits an encoded map into the number of its entries and their bytes.
    pub(crate) fn map_parts(map: &[u8]) -> (u16, &[u8]) {
        match *map {
            [MAP_16, high, low, ..] => (u16::from_be_bytes([high, low]), &map[3..]),
            [head, ..] if (FIX_MAP..=FIX_MAP + FIX_MAP_MAX).contains(&head) => (u16::from(head - FIX_MAP), &map[1..]),
            _ => panic!("a struct is written as a map of fewer than 65,536 entries"),
        }
    }
}
