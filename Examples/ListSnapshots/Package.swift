// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "ListSnapshots",
  dependencies: [.package(name: "imgstore", path: "../..")],
  targets: [
    .executableTarget(
      name: "ListSnapshots", dependencies: [.product(name: "Images", package: "imgstore")])
  ],
  swiftLanguageModes: [.v6]
)
