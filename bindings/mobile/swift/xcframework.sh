#!/usr/bin/env bash
# Makes NeonHubFFI.xcframework beside this file, for iOS, its simulator, and macOS.
#
# Needs macOS with Xcode, and the Rust targets below (`rustup target add ...`).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
root="$(cd ../../.. && pwd)"
target="${CARGO_TARGET_DIR:-$root/target}"
out="$target/xcframework"
rm -rf "$out" NeonHubFFI.xcframework
mkdir -p "$out/headers"

build() {
    cargo rustc --manifest-path "$root/Cargo.toml" -p neonhub-mobile --no-default-features --lib --crate-type staticlib --release --target "$1"
}
for triple in aarch64-apple-ios aarch64-apple-ios-sim x86_64-apple-ios aarch64-apple-darwin x86_64-apple-darwin; do
    build "$triple"
done

# One library per platform: those of its processors joined.
join() {
    local name="$1"
    shift
    mkdir -p "$out/$name"
    lipo -create -output "$out/$name/libneonhub_mobile.a" "$@"
}
library() { echo "$target/$1/release/libneonhub_mobile.a"; }
join ios "$(library aarch64-apple-ios)"
join simulator "$(library aarch64-apple-ios-sim)" "$(library x86_64-apple-ios)"
join macos "$(library aarch64-apple-darwin)" "$(library x86_64-apple-darwin)"

# The header and its map are those that `cargo xtask generate` writes and checks: one generator for glue and header.
cp Sources/NeonHubFFI/NeonHubFFI.h Sources/NeonHubFFI/module.modulemap "$out/headers/"

xcodebuild -create-xcframework \
    -library "$out/ios/libneonhub_mobile.a" -headers "$out/headers" \
    -library "$out/simulator/libneonhub_mobile.a" -headers "$out/headers" \
    -library "$out/macos/libneonhub_mobile.a" -headers "$out/headers" \
    -output NeonHubFFI.xcframework
