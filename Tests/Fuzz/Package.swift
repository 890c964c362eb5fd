// swift-tools-version: 6.2
import PackageDescription

// Coverage-guided fuzzers for the parsers; scripts/fuzz.sh builds and runs them. A package of its
// own, for all of it, modules included, is built with -sanitize=fuzzer.

let package = Package(
  name: "Fuzz",
  dependencies: [.package(name: "imgstore", path: "../..")],
  targets: [
    .target(name: "CFuzzer"),
    .executableTarget(
      name: "fuzz",
      dependencies: [
        "CFuzzer", .product(name: "FuzzedModules", package: "imgstore"),
        .product(name: "Images", package: "imgstore"),
      ]),
  ],
  swiftLanguageModes: [.v6]
)
