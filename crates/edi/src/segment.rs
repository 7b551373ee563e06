//! A segment: an id and its elements, of either syntax.

/// A segment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Segment {
    /// What it is: `W05`, `QTY`.
    pub id: String,
    /// Its elements, without empty ones at the end.
    pub elements: Vec<Element>,
}

/// An element: most have one value, some have components, and some are repeated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Element {
    /// One value; none where it is empty.
    Simple(String),
    /// Its repetitions, each with its components; more than one value, none of them empty at the end.
    Many(Vec<Vec<String>>),
}

impl Element {
    /// The element of these repetitions of components, without what is empty at the end of each.
    pub fn new(mut repetitions: Vec<Vec<String>>) -> Self {
        for components in &mut repetitions {
            while components.last().is_some_and(String::is_empty) {
                components.pop();
            }
        }
        while repetitions.last().is_some_and(Vec::is_empty) {
            repetitions.pop();
        }
        match repetitions.as_mut_slice() {
            [] => Self::Simple(String::new()),
            [components] if components.len() == 1 => Self::Simple(components.remove(0)),
            _ => Self::Many(repetitions),
        }
    }

    /// Is nothing in it?
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Simple(value) if value.is_empty())
    }

    /// Its value, of the first repetition; empty where there is none. From 1.
    pub fn component(&self, component: usize) -> &str {
        match self {
            Self::Simple(value) if component == 1 => value,
            Self::Simple(_) => "",
            Self::Many(repetitions) => {
                let components = repetitions.first();
                components
                    .and_then(|components| components.get(component.wrapping_sub(1)))
                    .map_or("", String::as_str)
            }
        }
    }

    /// How many components the longest of its repetitions has.
    pub fn width(&self) -> usize {
        match self {
            Self::Simple(_) => 1,
            Self::Many(repetitions) => repetitions.iter().map(Vec::len).max().unwrap_or(0),
        }
    }

    /// How often it is there.
    pub fn repetitions(&self) -> usize {
        match self {
            Self::Simple(_) => 1,
            Self::Many(repetitions) => repetitions.len(),
        }
    }

    /// All values in it.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        let (one, many) = match self {
            Self::Simple(value) => (Some(value), None),
            Self::Many(repetitions) => (None, Some(repetitions.iter().flatten())),
        };
        one.into_iter().chain(many.into_iter().flatten()).map(String::as_str)
    }

    /// The element as text: repetitions and components as they are separated, each value by `write`.
    pub(crate) fn joined(&self, repetition: &str, component: char, write: impl Fn(&str) -> String) -> String {
        match self {
            Self::Simple(value) => write(value),
            Self::Many(repetitions) => {
                let one = |components: &Vec<String>| {
                    components
                        .iter()
                        .map(|value| write(value))
                        .collect::<Vec<_>>()
                        .join(&component.to_string())
                };
                repetitions.iter().map(one).collect::<Vec<_>>().join(repetition)
            }
        }
    }
}

impl From<&str> for Element {
    fn from(value: &str) -> Self {
        Self::Simple(value.to_owned())
    }
}

impl From<String> for Element {
    fn from(value: String) -> Self {
        Self::Simple(value)
    }
}

impl Segment {
    /// A segment of these elements, without what is empty at the end.
    pub fn new(id: &str, elements: impl IntoIterator<Item = Element>) -> Self {
        let mut segment = Self { id: id.to_owned(), elements: elements.into_iter().collect() };
        segment.trim();
        segment
    }

    /// An element's value, its first component; empty where there is none. From 1.
    pub fn value(&self, element: usize) -> &str {
        self.component(element, 1)
    }

    /// A component's value; empty where there is none. From 1.
    pub fn component(&self, element: usize, component: usize) -> &str {
        self.elements.get(element.wrapping_sub(1)).map_or("", |found| found.component(component))
    }

    pub(crate) fn trim(&mut self) {
        while self.elements.last().is_some_and(Element::is_empty) {
            self.elements.pop();
        }
    }
}
