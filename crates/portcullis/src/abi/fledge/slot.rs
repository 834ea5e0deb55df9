//! What waits for the guest's next `recv`: one answer, and no queue.

/// The one place for answers. It begins with what the guest is told first.
#[derive(Debug, Default)]
pub(super) struct Slot {
    answer: Vec<u8>,
    /// Bytes of it that were taken.
    taken: usize,
}

impl Slot {
    /// Puts an answer in the place of what is there, read or not.
    pub(super) fn put(&mut self, answer: Vec<u8>) {
        *self = Self { answer, taken: 0 };
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.answer.len() - self.taken
    }

    /// Takes as much as there is room for, and gives how much.
    pub(super) fn take(&mut self, room: &mut [u8]) -> usize {
        let left = &self.answer[self.taken..];
        let length = left.len().min(room.len());
        room[..length].copy_from_slice(&left[..length]);
        self.taken += length;
        if self.len() == 0 {
            *self = Self::default();
        }
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_in_parts_and_another_takes_its_place() {
        let mut slot = Slot::default();
        let mut room = [0; 4];
        assert_eq!(slot.take(&mut room), 0);
        slot.put(b"abcdef".to_vec());
        assert_eq!((slot.take(&mut room), &room), (4, b"abcd"));
        assert_eq!((slot.take(&mut room), &room[..2]), (2, &b"ef"[..]));
        assert_eq!(slot.take(&mut room), 0);
        slot.put(b"first".to_vec());
        assert_eq!(slot.take(&mut room[..1]), 1);
        slot.put(b"xy".to_vec());
        assert_eq!((slot.take(&mut room), &room[..2]), (2, &b"xy"[..]));
        assert_eq!(slot.take(&mut []), 0);
    }
}
