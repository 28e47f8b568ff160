//! UniFFI's generator, in the version that the library was built with: `--language kotlin`, `--language swift`.

fn main() {
    uniffi::uniffi_bindgen_main();
}
