//! A machine for the instructions that `torch.save` writes (protocol 2 of
//! <https://github.com/python/cpython/blob/v3.13.0/Lib/pickletools.py>).
//!
//! Values stand in one list and name one another by number, so that nothing is nested, copied or freed in depth: memory and
//! time are a small multiple of the bytes read. A name of Python is a name from a list, and only four of them may be called,
//! by which the machine notes what they would make.

use std::collections::HashMap;

/// A value's place in the list.
pub(crate) type Id = usize;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    None,
    Bool,
    Int(i64),
    Float,
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Name(Name),
    /// What stands outside of the pickle, by the tuple that names it.
    Outside(Id),
    /// The arguments of `_rebuild_tensor_v2`.
    Tensor(Vec<Id>),
}

/// A name of Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    /// A class of storages of `torch`, as `FloatStorage`.
    Storage(&'static str),
}

/// Classes of storages.
const STORAGES: [&str; 10] = [
    "DoubleStorage",
    "FloatStorage",
    "HalfStorage",
    "BFloat16Storage",
    "LongStorage",
    "IntStorage",
    "ShortStorage",
    "CharStorage",
    "ByteStorage",
    "BoolStorage",
];

/// Of `_rebuild_tensor_v2`: storage, offset, size, stride, requires_grad, backward_hooks, metadata.
const MOST_ARGUMENTS: usize = 7;

/// More values are no model.
const MOST_VALUES: usize = 1 << 20;

/// What was built; the last value is the whole.
pub(crate) struct Values(Vec<Value>);

impl Values {
    /// A value.
    pub(crate) fn get(&self, id: Id) -> &Value {
        self.0.get(id).unwrap_or(&Value::None)
    }
}

/// Runs a pickle; returns its values and the number of the whole.
///
/// # Errors
/// In words: an instruction or a name that is not known, or an end too soon.
pub(crate) fn run(bytes: &[u8]) -> Result<(Values, Id), String> {
    let mut machine =
        Machine { bytes, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    loop {
        let [code] = *machine.take::<1>()?;
        if code == b'.' {
            let whole = machine.pop()?;
            return Ok((Values(machine.values), whole));
        }
        machine.step(code)?;
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    fn step(&mut self, code: u8) -> Result<(), String> {
        match code {
            b'\x80' => self.protocol(),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b')' => self.push(Value::Tuple(Vec::new())),
            b']' => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            b'N' => self.push(Value::None),
            b'\x88' | b'\x89' => self.push(Value::Bool),
            b'K' | b'M' | b'J' => self.int(code),
            b'\x8a' => self.long(),
            b'G' => self.take::<8>().and_then(|_| self.push(Value::Float)),
            b'X' => self.text(),
            b'c' => self.name(),
            b'q' | b'r' => self.place(code == b'q').and_then(|place| self.remember(place)),
            b'h' | b'j' => self.place(code == b'h').and_then(|place| self.recall(place)),
            b't' => self.above_mark().and_then(|items| self.push(Value::Tuple(items))),
            b'l' => self.above_mark().and_then(|items| self.push(Value::List(items))),
            b'\x85' | b'\x86' | b'\x87' => {
                self.last((code - b'\x84').into()).and_then(|items| self.push(Value::Tuple(items)))
            }
            b'a' => self.last(1).and_then(|items| self.append(items)),
            b'e' => self.above_mark().and_then(|items| self.append(items)),
            b's' => self.last(2).and_then(|items| self.set(&items)),
            b'u' => self.above_mark().and_then(|items| self.set(&items)),
            b'Q' => self.pop().and_then(|name| self.push(Value::Outside(name))),
            b'R' => self.call(),
            b'b' => self.build(),
            _ => Err(format!("its instruction {code:#04x} is none that torch.save writes for tensors")),
        }
    }

    /// A whole number of one, two or four bytes.
    fn int(&mut self, code: u8) -> Result<(), String> {
        let number = match code {
            b'K' => u8::from_le_bytes(*self.take()?).into(),
            b'M' => u16::from_le_bytes(*self.take()?).into(),
            _ => i32::from_le_bytes(*self.take()?).into(),
        };
        self.push(Value::Int(number))
    }

    /// A place in the memo.
    fn place(&mut self, is_short: bool) -> Result<u32, String> {
        Ok(if is_short { u8::from_le_bytes(*self.take()?).into() } else { u32::from_le_bytes(*self.take()?) })
    }

    fn protocol(&mut self) -> Result<(), String> {
        match self.take()? {
            [2] => Ok(()),
            [other] => Err(format!("it is of protocol {other}; torch.save writes 2")),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], String> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or("it ends too soon")?;
        self.bytes = rest;
        Ok(taken)
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        if self.values.len() == MOST_VALUES {
            return Err(format!("it makes more than {MOST_VALUES} values"));
        }
        self.stack.push(self.values.len());
        self.values.push(value);
        Ok(())
    }

    /// Nothing below the last mark can be taken.
    fn pop(&mut self) -> Result<Id, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let above = self.stack.len() > floor;
        self.stack.pop().filter(|_| above).ok_or_else(|| "it takes a value that is not there".into())
    }

    fn last(&mut self, count: usize) -> Result<Vec<Id>, String> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        Ok(items)
    }

    fn above_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("it looks for a mark that is not there")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    /// A whole number of up to eight bytes.
    fn long(&mut self) -> Result<(), String> {
        let [length] = *self.take::<1>()?;
        let mut bytes = [0; 8];
        let length = usize::from(length);
        let taken = self.slice(length)?;
        bytes.get_mut(..length).ok_or("it holds a whole number of more than 64 bits")?.copy_from_slice(taken);
        let unused = 64 - 8 * length as u32;
        let number = if length == 0 { 0 } else { i64::from_le_bytes(bytes) << unused >> unused };
        self.push(Value::Int(number))
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or("it ends too soon")?;
        self.bytes = rest;
        Ok(taken)
    }

    fn text(&mut self) -> Result<(), String> {
        let length = u32::from_le_bytes(*self.take()?);
        let bytes = self.slice(length as usize)?;
        let text = std::str::from_utf8(bytes).map_err(|_| "it holds a text that is not UTF-8")?;
        self.push(Value::Text(text.into()))
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let end = self.bytes.iter().position(|&byte| byte == b'\n').ok_or("it ends too soon")?;
        let line = self.slice(end)?;
        self.take::<1>()?;
        std::str::from_utf8(line).map_err(|_| "it holds a name that is not UTF-8".into())
    }

    /// A name is known or the end.
    fn name(&mut self) -> Result<(), String> {
        let (module, name) = (self.line()?, self.line()?);
        let storage = STORAGES.iter().find(|known| **known == name).filter(|_| module == "torch");
        let name = match (module, name, storage) {
            (_, _, Some(storage)) => Name::Storage(storage),
            ("collections", "OrderedDict", _) => Name::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2", _) => Name::RebuildTensor,
            ("torch._utils", "_rebuild_parameter", _) => Name::RebuildParameter,
            _ => {
                return Err(format!(
                    "it asks Python for {module}.{name}, which is no tensor: do not open this file with torch.load"
                ));
            }
        };
        self.push(Value::Name(name))
    }

    fn remember(&mut self, place: u32) -> Result<(), String> {
        let top = *self.stack.last().ok_or("it remembers a value that is not there")?;
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, place: u32) -> Result<(), String> {
        let id = *self.memo.get(&place).ok_or("it recalls a value that it does not know")?;
        self.stack.push(id);
        Ok(())
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), String> {
        match self.top()? {
            Value::List(list) => list.extend(items),
            _ => return Err("it adds an item to what is no list".into()),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), String> {
        let pairs = items.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        match self.top()? {
            Value::Dict(fields) if items.len().is_multiple_of(2) => fields.extend(pairs),
            _ => return Err("it sets an item of what is no dictionary".into()),
        }
        Ok(())
    }

    fn top(&mut self) -> Result<&mut Value, String> {
        let top = *self.stack.last().ok_or("it changes a value that is not there")?;
        self.values.get_mut(top).ok_or_else(|| "it changes a value that is not there".into())
    }

    /// Notes what a call would make; nothing is called.
    fn call(&mut self) -> Result<(), String> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Value::Tuple(arguments) = &self.values[arguments] else {
            return Err("it calls without arguments".into());
        };
        match (&self.values[function], arguments.as_slice()) {
            (Value::Name(Name::OrderedDict), []) => self.push(Value::Dict(Vec::new())),
            // No more arguments than there are: they are kept once more for each call.
            (Value::Name(Name::RebuildTensor), [_, _, _, _, ..]) if arguments.len() <= MOST_ARGUMENTS => {
                let arguments = arguments.clone();
                self.push(Value::Tensor(arguments))
            }
            (Value::Name(Name::RebuildParameter), &[tensor, ..]) => {
                self.stack.push(tensor);
                Ok(())
            }
            _ => Err("it calls what torch.save would not".into()),
        }
    }

    /// `_metadata` of a `state_dict` tells versions of modules, and changes no tensor.
    fn build(&mut self) -> Result<(), String> {
        let state = self.pop()?;
        let Value::Dict(fields) = &self.values[state] else {
            return Err("it gives an object a state".into());
        };
        // The only field: one look, however often a pickle asks for it.
        let is_metadata = |name: Id| matches!(&self.values[name], Value::Text(text) if text == "_metadata");
        let is_known = matches!(fields.as_slice(), &[(name, _)] if is_metadata(name));
        if is_known && matches!(self.top()?, Value::Dict(_)) {
            return Ok(());
        }
        Err("it gives an object a state".into())
    }
}
