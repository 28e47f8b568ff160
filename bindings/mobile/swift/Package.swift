// swift-tools-version: 5.9

import Foundation
import PackageDescription

// `xcframework.sh` makes the framework; without it the native library is linked from a folder that `-L` names.
let framework = "NeonHubFFI.xcframework"
let hasFramework = FileManager.default.fileExists(atPath: "\(Context.packageDirectory)/\(framework)")

let native: Target =
    hasFramework
    ? .binaryTarget(name: "NeonHubFFI", path: framework)
    : .systemLibrary(name: "NeonHubFFI", path: "Sources/NeonHubFFI")

let package = Package(
    name: "NeonHub",
    platforms: [.macOS(.v13), .iOS(.v16)],
    products: [.library(name: "NeonHub", targets: ["NeonHub"])],
    targets: [
        native,
        .target(
            name: "NeonHubNative",
            dependencies: ["NeonHubFFI"],
            linkerSettings: hasFramework ? [] : [.linkedLibrary("neonhub_mobile")]
        ),
        .target(name: "NeonHub", dependencies: ["NeonHubNative"]),
        .testTarget(name: "NeonHubTests", dependencies: ["NeonHub", "NeonHubNative"]),
    ]
)
