// swift-tools-version: 6.2
import PackageDescription

// One package, modules in layers: dependencies point downward only (docs/architecture.md).
// `Tests/Fuzz` is a package of its own: it is built with libFuzzer's flags.

let strict: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InferIsolatedConformances"),
  .treatAllWarnings(as: .error),
]

func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func moduleTests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(
    name: "\(name)Tests", dependencies: dependencies + ["TestSupport"], swiftSettings: strict)
}

let package = Package(
  name: "imgstore",
  products: [
    .executable(name: "imgstore", targets: ["imgstore"]),
    .library(name: "Images", targets: ["Images"]),
    // The modules that `Tests/Fuzz`, a package of its own, fuzzes and takes its seeds from.
    .library(
      name: "FuzzedModules",
      targets: [
        "Archive", "Codec", "Ingest", "Recipes", "Store", "Apply", "Packages", "Platform", "Render",
        "XCAT", "Signatures", "Settings", "OCI", "HostileBundles", "RemoteProtocol", "Transfer",
        "HTTPServer", "S3", "ObjectStorage",
      ]),
  ],
  dependencies: [
    // Exact, in place of a Package.resolved: that names commits, which differ where packages come from a mirror.
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    // HTTP and TLS for module S3 (docs/decisions/0072-http-client.md).
    .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
    .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
  ],
  targets: [
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .systemLibrary(
      name: "CDeflate", pkgConfig: "libdeflate", providers: [.apt(["libdeflate-dev"])]),
    .systemLibrary(name: "CLzma", pkgConfig: "liblzma", providers: [.apt(["liblzma-dev"])]),
    .systemLibrary(name: "CBzip2", providers: [.apt(["libbz2-dev"])]),
    .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CCrypt", pkgConfig: "libcrypt", providers: [.apt(["libcrypt-dev"])]),
    .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
    .systemLibrary(name: "CExpat", pkgConfig: "expat", providers: [.apt(["libexpat1-dev"])]),
    .systemLibrary(
      name: "CPCRE2", pkgConfig: "libpcre2-8", providers: [.apt(["libpcre2-dev"])]),
    // RE2 has no C interface: the target is one, and needs libre2-dev (scripts/deps.sh).
    .target(name: "CRE2", linkerSettings: [.linkedLibrary("re2"), .linkedLibrary("stdc++")]),
    // toml++ has no C interface either, and needs libtomlplusplus-dev. It is in headers only.
    .target(name: "CTOML", linkerSettings: [.linkedLibrary("stdc++")]),
    .target(name: "CLinux"),
    .target(name: "CZstdExperimental", dependencies: ["CZstd"]),

    module("Platform", ["CLinux"]),
    module(
      "Codec", ["CZlib", "CZstd", "CZstdExperimental", "CLzma", "CDeflate", "CBzip2", "CCrypto"]),
    module("Signatures", ["Codec", "Platform", "CCrypto"]),
    module("Settings", ["Platform", "CTOML"]),
    module("SQLite", ["CSQLite"]),
    module("Archive", ["Codec"]),
    module("Packages", ["Codec", "Platform", "SQLite"]),
    module("Store", ["Codec", "Platform", "SQLite"]),
    module("OCI", ["Codec", "Platform"]),
    module("ObjectStorage", ["Codec", "Platform"]),
    module("Transfer", ["Store", "Archive", "Codec", "Platform"]),
    module("Depot", ["Transfer", "Store", "ObjectStorage", "Codec", "Platform"]),
    module("RemoteProtocol", ["Transfer", "Store", "Codec", "Platform"]),
    module(
      "S3",
      [
        "ObjectStorage", "Codec", "Platform", "CExpat",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
      ]),
    module("Recipes", ["Store", "Archive", "Codec", "Platform"]),
    module("Ingest", ["Recipes", "Store", "Archive", "Codec", "Platform"]),
    module("Render", ["Store", "Archive", "Codec", "Platform"]),
    module("Apply", ["Store", "Codec", "Platform"]),
    module("XCAT", ["Store", "Platform", "SQLite", "CExpat"]),
    module(
      "Images",
      [
        "XCAT", "Ingest", "Recipes", "Render", "Apply", "Store", "Packages", "Archive", "Codec",
        "Platform", "Signatures", "Settings", "OCI", "Transfer", "Depot", "S3", "ObjectStorage",
        "CCrypt", "CRE2", "CPCRE2",
        "RemoteProtocol",
      ]),
    module(
      "HTTPServer",
      [
        "Codec", "Platform",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
      ]),
    module("Server", ["Images", "HTTPServer", "Codec", "Platform"]),
    .executableTarget(
      name: "imgstore",
      dependencies: [
        "Images", "Server",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),

    // Ends a program with SIGKILL before its n-th file operation: for the sweeps of CLITests.
    .executableTarget(name: "killat", path: "Tests/KillAt"),
    .target(
      name: "TestSupport",
      dependencies: [
        "Images", "XCAT", "Ingest", "Render", "Archive", "Store", "Platform",
      ],
      path: "Tests/TestSupport", swiftSettings: strict),
    .target(
      name: "HostileBundles",
      dependencies: ["Archive", "Codec", "Platform", "Signatures", "XCAT", "CLzma", "CZlib"],
      path: "Tests/HostileBundles",
      swiftSettings: strict),
    // A service, a proxy that makes faults, and the contract of ObjectStorage, for the tests of remotes.
    .target(
      name: "ObjectStorageTestSupport", dependencies: ["ObjectStorage", "Codec", "Platform"],
      path: "Tests/ObjectStorageTestSupport", swiftSettings: strict),
    // Copies files to a bucket, for Benchmarks/s3.py.
    .executableTarget(
      name: "s3transfer", dependencies: ["S3", "ObjectStorage", "Codec", "Platform"],
      path: "Benchmarks/S3Transfer", swiftSettings: strict),
    // Serves one file, for Benchmarks/serve.py.
    .executableTarget(
      name: "servefile", dependencies: ["HTTPServer", "Platform"],
      path: "Benchmarks/ServeFile", swiftSettings: strict),
    moduleTests("Platform", ["Platform"]),
    moduleTests("Codec", ["Codec"]),
    moduleTests("Signatures", ["Signatures", "Codec", "Platform"]),
    moduleTests("Settings", ["Settings", "Platform"]),
    moduleTests("Archive", ["Archive", "Codec", "Platform", "HostileBundles"]),
    moduleTests("OCI", ["OCI", "Codec", "Platform"]),
    moduleTests(
      "S3",
      [
        "S3", "ObjectStorage", "Codec", "Platform", "ObjectStorageTestSupport", "DepotTestSupport",
      ]),
    moduleTests("HTTPServer", ["HTTPServer", "Codec", "Platform"]),
    moduleTests("SQLite", ["SQLite"]),
    moduleTests("Packages", ["Packages", "Platform"]),
    moduleTests("Store", ["Store", "Codec", "Platform"]),
    moduleTests("Transfer", ["Transfer", "Recipes", "Store", "Codec", "Platform"]),
    .testTarget(
      name: "ObjectStorageTests", dependencies: ["ObjectStorage", "Codec", "Platform"],
      swiftSettings: strict),
    // Snapshots and a load for depots, for the tests of every kind of bucket.
    .target(
      name: "DepotTestSupport",
      dependencies: ["Depot", "Transfer", "Store", "ObjectStorage", "Codec", "Platform"],
      path: "Tests/DepotTestSupport", swiftSettings: strict),
    .testTarget(
      name: "DepotTests",
      dependencies: [
        "Depot", "DepotTestSupport", "Transfer", "Store", "ObjectStorage", "Codec", "Platform",
      ],
      swiftSettings: strict),
    moduleTests("RemoteProtocol", ["RemoteProtocol", "Transfer", "Store", "Codec", "Platform"]),
    moduleTests("Recipes", ["Recipes", "Store", "Codec", "Platform"]),
    moduleTests(
      "Ingest", ["Ingest", "Archive", "Store", "Codec", "Platform", "HostileBundles"]),
    moduleTests(
      "Render", ["Render", "Images", "Ingest", "Archive", "Store", "Codec", "Platform"]),
    moduleTests("Apply", ["Apply", "Ingest", "Store", "Codec", "Platform"]),
    moduleTests("XCAT", ["XCAT", "Platform"]),
    moduleTests(
      "Images",
      [
        "Images", "Render", "Apply", "Packages", "XCAT", "Ingest", "Recipes", "Store", "Archive",
        "Codec", "Platform", "Signatures", "Settings", "Transfer", "RemoteProtocol",
        "HostileBundles",
      ]),
    moduleTests("Server", ["Server", "HTTPServer", "Images", "Codec", "Platform"]),
    moduleTests(
      "CLI",
      ["Images", "Platform", "HostileBundles", "ObjectStorageTestSupport", "XCAT", "killat"]),
  ],
  swiftLanguageModes: [.v6]
)
