//! Components that keep a compiler busy.

/// Components that are small, valid, and no pleasure to compile.
#[derive(Clone, Copy, Debug)]
pub enum Hostile {
    /// Its time grows with the square of its size: a loop through which every one of many variables lives.
    Time,
    /// Its memory grows with its size, by seven hundred times.
    Memory,
    /// As much code as a large plugin has, in functions of ordinary size. Not hostile, only large.
    Large,
}

impl Hostile {
    /// The bytes.
    pub fn component(self) -> Vec<u8> {
        // (func (param i32) (result i32))
        let types = [1, 0x60, 1, 0x7f, 1, 0x7f];
        let (count, body) = match self {
            Self::Time => (1, variables(40_000)),
            Self::Memory => (1, additions(1_000_000)),
            Self::Large => (4000, additions(100)),
        };
        let (mut functions, mut code) = (Vec::new(), Vec::new());
        number(count, &mut functions);
        functions.resize(functions.len() + count, 0);
        number(count, &mut code);
        for _ in 0..count {
            number(body.len(), &mut code);
            code.extend_from_slice(&body);
        }
        let mut core = b"\0asm\x01\0\0\0".to_vec();
        section(1, &types, &mut core);
        section(3, &functions, &mut core);
        section(10, &code, &mut core);
        let mut component = b"\0asm\x0d\0\x01\0".to_vec();
        section(1, &core, &mut component);
        component
    }
}

/// `x = x + 5`, so many times.
fn additions(count: usize) -> Vec<u8> {
    let mut body = vec![0];
    for _ in 0..count {
        body.extend([0x20, 0, 0x41, 5, 0x6a, 0x21, 0]);
    }
    body.extend([0x20, 0, 0x0b]);
    body
}

/// `loop { if x { v1 = va + 1 } if x { v2 = vb + 1 } … if x continue }`, with so many variables.
fn variables(count: usize) -> Vec<u8> {
    let mut body = vec![1];
    number(count, &mut body);
    body.extend([0x7f, 0x03, 0x40]);
    for variable in 0..count {
        body.extend([0x20, 0, 0x04, 0x40, 0x20]);
        number(variable * 7919 % count + 1, &mut body);
        body.extend([0x41, 1, 0x6a, 0x21]);
        number(variable + 1, &mut body);
        body.push(0x0b);
    }
    body.extend([0x20, 0, 0x0d, 0, 0x0b, 0x20, 0, 0x0b]);
    body
}

fn section(id: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(id);
    number(content.len(), out);
    out.extend_from_slice(content);
}

/// A number in LEB128.
fn number(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}
