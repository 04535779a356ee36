//! Mistakes planted on purpose, so that the simulator can show that it finds them. Each is a line at the place where it
//! would be made, asked for by name; without the feature `planted-bugs`, which nothing but the simulator turns on, none
//! of them is compiled in. It lives here because every crate that can make such a mistake knows this one.

#[cfg(feature = "planted-bugs")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<&'static str>> = const { std::cell::Cell::new(None) };
}

/// Whether the code that runs on this thread is to make the mistake `name`.
#[cfg(feature = "planted-bugs")]
pub fn is_planted(name: &str) -> bool {
    PLANTED.get() == Some(name)
}

/// Never: the mistakes are not compiled in.
#[cfg(not(feature = "planted-bugs"))]
#[inline(always)]
pub const fn is_planted(_name: &str) -> bool {
    false
}

/// Has all code on this thread make the mistake `name` from now on, and no other.
#[cfg(feature = "planted-bugs")]
pub fn plant(name: Option<&'static str>) {
    PLANTED.set(name);
}
