//! E-mail: complete RFC 5322 messages and the plain layout of their HTML.

mod address;
mod encode;
mod layout;
mod mime;

pub use address::Mailbox;
pub(crate) use layout::html_of;
pub use layout::{Button, Footer, Layout, Rendered};
pub(crate) use mime::text_of;
pub use mime::{ListUnsubscribe, Mail, Message};
