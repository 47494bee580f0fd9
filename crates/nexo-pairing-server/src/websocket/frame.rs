//! The frames of a WebSocket, on the server's side: those it reads are masked, those it writes are
//! not.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::Unasked;
use crate::answer::Refusal;

/// How many bytes a ping, a pong or a close may carry.
const MAX_CONTROL_BYTES: usize = 125;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    fn of(number: u8) -> Option<Self> {
        [Self::Continuation, Self::Text, Self::Binary, Self::Close, Self::Ping, Self::Pong]
            .into_iter()
            .find(|opcode| *opcode as u8 == number)
    }

    fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// Why a connection is closed, for the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    Normal = 1000,
    Protocol = 1002,
    Unsupported = 1003,
    NotUtf8 = 1007,
    Policy = 1008,
    TooLarge = 1009,
}

impl Close {
    pub(super) fn payload(self) -> [u8; 2] {
        (self as u16).to_be_bytes()
    }
}

/// A frame that was read. It may hold secrets.
pub(super) struct Frame {
    pub(super) is_last: bool,
    pub(super) opcode: Opcode,
    pub(super) payload: Zeroizing<Vec<u8>>,
}

impl Frame {
    /// Reads a frame; one of a message may carry `max` bytes. Its length is looked at before anything
    /// is made room for.
    pub(super) async fn read(
        io: &mut (impl AsyncRead + Unpin),
        max: usize,
    ) -> Result<Self, Unasked> {
        let mut head = [0; 2];
        io.read_exact(&mut head).await?;
        let (is_last, reserved) = (head[0] & 0x80 != 0, head[0] & 0x70);
        let (is_masked, length) = (head[1] & 0x80 != 0, head[1] & 0x7f);
        let opcode = Opcode::of(head[0] & 0x0f).filter(|_| reserved == 0);
        let opcode = opcode.ok_or_else(|| wrong("a frame is of no kind that there is"))?;
        if !is_masked {
            return Err(wrong("a client masks its frames"));
        }
        let length = match length {
            126 => u64::from(io.read_u16().await?),
            127 => io.read_u64().await?,
            short => u64::from(short),
        };
        if opcode.is_control() && (!is_last || length > MAX_CONTROL_BYTES as u64) {
            return Err(wrong("a control frame has at most 125 bytes and comes in one"));
        }
        let max = if opcode.is_control() { MAX_CONTROL_BYTES } else { max };
        let length = usize::try_from(length).ok().filter(|length| *length <= max);
        let too_large = Unasked::Refused { close: Close::TooLarge, refusal: Refusal::TooLarge };
        let length = length.ok_or(too_large)?;
        let mut mask = [0; 4];
        io.read_exact(&mut mask).await?;
        let mut payload = Zeroizing::new(vec![0; length]);
        io.read_exact(&mut payload).await?;
        for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        Ok(Self { is_last, opcode, payload })
    }
}

fn wrong(what: &'static str) -> Unasked {
    Unasked::refused(Close::Protocol, what)
}

/// Writes a whole message, or a control frame, as one frame.
pub(super) async fn write(
    io: &mut (impl AsyncWrite + Unpin),
    opcode: Opcode,
    payload: &[u8],
) -> io::Result<()> {
    let mut frame = Zeroizing::new(Vec::with_capacity(payload.len() + 10));
    frame.push(0x80 | opcode as u8);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..126), _) => frame.push(length),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    io.write_all(&frame).await
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame as a client writes it.
    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..126 => frame.push(0x80 | length as u8),
            length @ 126..65536 => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        let mask = [0x12, 0x34, 0x56, 0x78];
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    async fn read(bytes: &[u8], max: usize) -> Result<Frame, Unasked> {
        Frame::read(&mut &bytes[..], max).await
    }

    fn closes_with(result: Result<Frame, Unasked>) -> Option<Close> {
        match result {
            Err(Unasked::Refused { close, .. }) => Some(close),
            _ => None,
        }
    }

    #[tokio::test]
    async fn frames_of_every_length_are_read() {
        for length in [0, 1, 125, 126, 4096, 65535, 65536] {
            let payload = vec![b'x'; length];
            let frame = read(&masked(0x81, &payload), 70_000).await.unwrap();
            assert!(frame.is_last && frame.opcode == Opcode::Text);
            assert_eq!(*frame.payload, payload);
        }
    }

    #[tokio::test]
    async fn what_is_too_long_is_refused_before_it_is_read() {
        let head = [0x81, 0x80 | 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(closes_with(read(&head, 4096).await), Some(Close::TooLarge));
        let head = [0x81, 0x80 | 126, 0x10, 0x01];
        assert_eq!(closes_with(read(&head, 4096).await), Some(Close::TooLarge));
    }

    #[tokio::test]
    async fn what_the_protocol_forbids_is_refused() {
        let long_ping = masked(0x89, &[0; 126]);
        for bytes in [
            &[0x81, 0x01, b'x'][..],   // not masked
            &[0xc1, 0x80, 0, 0, 0, 0], // compressed
            &[0x83, 0x80, 0, 0, 0, 0], // no opcode
            &[0x8b, 0x80, 0, 0, 0, 0], // no opcode
            &[0x09, 0x80, 0, 0, 0, 0], // a ping in parts
            &long_ping,
        ] {
            assert_eq!(closes_with(read(bytes, 4096).await), Some(Close::Protocol), "{bytes:x?}");
        }
    }

    #[tokio::test]
    async fn what_is_cut_off_is_gone() {
        let whole = masked(0x81, &[b'x'; 300]);
        for length in 0..whole.len() {
            let cut = read(&whole[..length], 4096).await;
            assert!(matches!(cut, Err(Unasked::Gone)), "{length}");
        }
    }

    #[tokio::test]
    async fn what_is_written_says_how_long_it_is() {
        for (length, head) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65535, &[0x81, 126, 0xff, 0xff]),
            (65536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut written = Vec::new();
            write(&mut written, Opcode::Text, &vec![b'x'; length]).await.unwrap();
            assert_eq!(&written[..head.len()], head);
            assert_eq!(written.len(), head.len() + length);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_bring_it_down(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            if let Ok(frame) = runtime.block_on(read(&bytes, 64)) {
                prop_assert!(frame.payload.len() <= MAX_CONTROL_BYTES);
            }
        }
    }
}
