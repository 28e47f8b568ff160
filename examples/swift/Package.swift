// swift-tools-version: 5.9

import PackageDescription

let package = Package(
    name: "Campaign",
    platforms: [.macOS(.v13)],
    dependencies: [.package(path: "../../bindings/mobile/swift")],
    targets: [
        .executableTarget(
            name: "Campaign", dependencies: [.product(name: "NeonHub", package: "swift")], path: ".",
            sources: ["Campaign.swift"])
    ]
)
