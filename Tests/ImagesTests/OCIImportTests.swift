// OCI images that come in: each equals what `umoci unpack` gives, file by file. The images are those of
// Tests/Fixtures/scripts/oci/make-images.py.

import Foundation
import HostileBundles
import Images
import Platform
import Store
import TestSupport
import Testing

/// The tools that these tests compare with.
enum OCITools {
  static let hasUmoci = isInstalled("umoci")
  static let hasSkopeo = isInstalled("skopeo")
  static let hasRegistry = isInstalled("docker-registry")

  private static func isInstalled(_ name: String) -> Bool {
    !TestSelection.isFast && (try? run("sh", "-c", "command -v \(name)").didSucceed) == true
  }
}

extension Snapshot {
  /// The root tree.
  var tree: Entry? { components.first { $0.role == .rootTree }?.entry }
}

@Suite(.usesTools, .enabled(if: OCITools.hasUmoci && isRoot, "needs umoci, and root"))
struct OCIImportTests {
  /// The image whose tree an image that umoci cannot unpack must have.
  private static let twins = [
    "docker-types": "plain-layers", "zstd-layers": "plain-layers", "platforms": "one-layer",
    "nested-index": "one-layer",
  ]

  /// Imports an image into a directory.
  private func importing(
    _ source: String, as name: String, _ node: TestNode,
    _ edit: (inout ImportRequest) -> Void = { _ in }
  ) throws -> ImportOutcome {
    var request = ImportRequest(source)
    request.name = name
    request.directory = node.directory.path("images/\(name)")
    request.allowsPrivileged = true
    request.platform = "linux/amd64"
    edit(&request)
    return try node.workspace.importBundle(request)
  }

  @Test(.timeLimit(.minutes(10)))
  func `thirty images come in equal to what umoci unpacks`() throws {
    let node = try TestNode(isStaged: false)
    let layouts = node.directory.path("layouts")
    try shell("mkdir \"$1\"/layouts \"$1\"/images \"$1\"/oracle", node.directory.path)
    let names = try runFixture("scripts/oci/make-images.py", layouts, "--umoci", "--zstd").output
      .split(separator: "\n").map(String.init)
    #expect(names.count >= 30)
    for name in names where OCIImportTests.twins[name] == nil {
      let result = try run(
        "umoci", "unpack", "--image", "\(layouts)/\(name):t", node.directory.path("oracle/\(name)"))
      try #require(result.didSucceed, "\(name): \(result.errors)")
    }
    for name in names {
      let outcome = try importing("\(layouts)/\(name)", as: name, node)
      let image = try #require(outcome.images.first)
      #expect(image.remaining?.isEmpty == true, "\(name)")
      #expect(image.notes.isEmpty, "\(name): \(image.notes)")
      let oracle = node.directory.path("oracle/\(OCIImportTests.twins[name] ?? name)/rootfs")
      if ["no-parents", "dotted-names"].contains(name) {
        // umoci gives directories without a member the present time.
        try shell(
          "for d in \"$@\"; do find \"$d\" -type d -exec touch -d @9 {} +; done", oracle,
          node.directory.path("images/\(name)"))
      }
      let found = try differences(oracle, node.directory.path("images/\(name)"))
      #expect(found == "", "\(name): \(found)")
    }
  }

  @Test(.enabled(if: OCITools.hasSkopeo, "needs skopeo"))
  func `archives of skopeo come in: OCI, Docker, and compressed as a whole`() throws {
    let node = try TestNode(isStaged: false)
    let top = node.directory.path
    try runFixture("scripts/oci/make-images.py", top + "/layouts")
    let source = "oci:\(top)/layouts/link-to-lower:t"
    for target in ["oci-archive:\(top)/a.tar:x", "docker-archive:\(top)/d.tar:name/of:tag"] {
      let copied = try run("skopeo", "copy", "--insecure-policy", source, target)
      try #require(copied.didSucceed, "\(copied.errors)")
    }
    try shell("gzip -k \"$1\"/a.tar; mkdir \"$1\"/images", top)
    let reference = try importing("\(top)/layouts/link-to-lower", as: "layout", node)
    let tree = try #require(reference.images.first?.imported?.snapshot.tree)
    for (name, file) in [("oci", "a.tar"), ("docker", "d.tar"), ("whole", "a.tar.gz")] {
      let outcome = try importing("\(top)/\(file)", as: name, node)
      let image = try #require(outcome.images.first)
      #expect(image.remaining?.isEmpty == true)
      #expect(image.imported?.snapshot.tree == tree, "\(name)")
    }
  }

  @Test func `the platform and the name choose among several images`() throws {
    let node = try TestNode(isStaged: false)
    let top = node.directory.path
    try runFixture("scripts/oci/make-images.py", top + "/layouts")
    let source = top + "/layouts/platforms"
    let other = try importing(source, as: "arm", node) { $0.platform = "linux/aarch64" }
    #expect(other.images.first?.imported != nil)
    #expect(FileManager.default.fileExists(atPath: top + "/images/arm/wrong"))
    for (platform, code) in [("linux/riscv64", ErrorCode.notFound), ("amd64", .usage)] {
      let error = #expect(throws: (any Error).self) {
        try importing(source, as: "none", node) { $0.platform = platform }
      }
      #expect((error as? any ExplainedError)?.errorCode == code)
    }
    let error = #expect(throws: (any Error).self) {
      try importing(source, as: "none", node) { $0.ociReference = "u" }
    }
    #expect((error as? any ExplainedError)?.errorCode == .notFound)
  }

  @Test func `an import replaces the image only on request, and undo restores it`() throws {
    let node = try TestNode(isStaged: false)
    let top = node.directory.path
    try runFixture("scripts/oci/make-images.py", top + "/layouts")
    _ = try importing("\(top)/layouts/one-layer", as: "image", node)
    let error = #expect(throws: ImageError.self) {
      try importing("\(top)/layouts/whiteouts", as: "image", node)
    }
    #expect(error?.errorCode == .alreadyExists)
    try shell("cp -a \"$1\"/images/image \"$1\"/before", top)
    let dry = try importing("\(top)/layouts/whiteouts", as: "image", node) {
      $0.replaces = true
      $0.isDryRun = true
    }
    #expect(dry.images.first?.apply.removals.isEmpty == false)
    #expect(try differences(top + "/before", top + "/images/image") == "")
    _ = try importing("\(top)/layouts/whiteouts", as: "image", node) { $0.replaces = true }
    #expect(!FileManager.default.fileExists(atPath: top + "/images/image/etc/motd"))
    _ = try node.workspace.undo("image")
    #expect(try differences(top + "/before", top + "/images/image") == "")
  }

  @Test func `without a destination the directory of the present image is used`() throws {
    let node = try TestNode(isStaged: false)
    let top = node.directory.path
    try runFixture("scripts/oci/make-images.py", top + "/layouts")
    let error = #expect(throws: ImageError.self) {
      try importing("\(top)/layouts/one-layer", as: "image", node) { $0.directory = nil }
    }
    #expect(error?.errorCode == .usage)
    _ = try importing("\(top)/layouts/one-layer", as: "image", node)
    let again = try importing("\(top)/layouts/whiteouts", as: "image", node) {
      $0.directory = nil
      $0.replaces = true
    }
    #expect(again.images.first?.remaining?.isEmpty == true)
    #expect(!FileManager.default.fileExists(atPath: top + "/images/image/etc/motd"))
  }
}

@Suite(.usesTools) struct OCIMessageTests {
  @Test
  func `a directory that is not a layout stays an error, and bundles are not taken for images`()
    throws
  {
    let node = try TestNode.directory(tree: ["etc/motd": "hello\n"])
    let error = #expect(throws: ImageError.self) {
      try node.workspace.importBundle(ImportRequest(node.tree))
    }
    #expect(error?.errorCode == .failed)
    let bundle = try node.bundle("compute.tgz")
    var request = ImportRequest(bundle)
    request.replaces = true
    let outcome = try node.workspace.importBundle(request)
    #expect(outcome.images.first?.remaining?.isEmpty == true)
    request.form = .oci
    let refused = #expect(throws: (any Error).self) { try node.workspace.importBundle(request) }
    #expect((refused as? any ExplainedError)?.errorCode == .notFound)
  }

  @Test func `a bundle and an OCI image come in through a pipe`() throws {
    let node = try TestNode.directory(tree: ["etc/motd": "hello\n"])
    let bundle = try node.bundle("compute.tgz")
    let archive = node.directory.path("compute.oci.tar")
    var export = OCIExportRequest("compute@1")
    export.destination = .archive(archive)
    _ = try node.workspace.exportOCI(export)
    let pipe = node.directory.path("pipe")
    for (source, form) in [(bundle, ImportForm.automatic), (archive, .oci)] {
      try shell("rm -f \"$1\"; mkfifo \"$1\"", pipe)
      let bytes = try Data(contentsOf: URL(fileURLWithPath: source))
      try startDetachedThread {
        // Waits until the import opens the pipe.
        FileHandle(forWritingAtPath: pipe)?.write(bytes)
      }
      var request = ImportRequest(pipe)
      request.form = form
      request.name = "compute"
      request.replaces = true
      #expect(try node.workspace.importBundle(request).images.first?.remaining?.isEmpty == true)
    }
  }

  @Test func `imgimport reads no OCI image`() throws {
    let node = try ImageNode(ImageDraft().archive)
    let error = #expect(throws: (any Error).self) { try node.importing { $0.form = .bundle } }
    #expect((error as? any ExplainedError)?.errorCode == .bundleInvalid)
    _ = try node.importing { $0.form = .automatic }
    #expect(try node.text("etc/motd") == "hello\n")
  }
}
