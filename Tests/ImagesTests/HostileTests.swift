// Untrusted bundles (Tests/HostileBundles). Most are refused with a reason that names the defect, and nothing
// outside the store changes. The others are imported without their hostile parts.

import Foundation
import HostileBundles
import Images
import Ingest
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct HostileTests {
  /// A node with an install directory, a store, and files around them that an escape would change.
  private final class AttackedNode: Sendable {
    let directory: TemporaryDirectory
    let workspace: Workspace
    let messages = Monitor<[String]>([])

    init() throws {
      directory = try TemporaryDirectory()
      try runFixture("scripts/trees/make-node-to-attack.sh", directory.path)
      let messages = messages
      workspace = try Workspace(
        WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
      ) { line in messages.withLock { $0.append(line) } }
      _ = try workspace.store(create: true)
      try shell("mkdir -p \"$1\"", workspace.trustedKeysPath)
      try Data(BundleSigner.trusted.publicKey.pem).write(
        to: URL(fileURLWithPath: workspace.trustedKeysPath + "/origin.pem"))
    }

    /// Lists everything around the store, with kinds, modes, owners, times and link targets.
    func listing() throws -> String {
      try shell(
        """
        cd "$1"; find . -path ./store -prune -o -path ./b.tgz -prune -o \
          -printf '%p %y %m %U %G %s %n %T@ %l\n' | sort; cat outside/sentinel root/etc/shadow
        """, directory.path
      ).output
    }

    func write(_ bytes: [UInt8]) throws -> String {
      try Data(bytes).write(to: URL(fileURLWithPath: directory.path("b.tgz")))
      return directory.path("b.tgz")
    }
  }

  @Test(.timeLimit(.minutes(10)), arguments: Sweep.some(of: HostileBundle.refused, every: 5))
  func `a hostile bundle is refused with a reason that names the defect`(_ hostile: HostileBundle)
    throws
  {
    let site = try AttackedNode()
    let bytes = hostile.make()
    let bundle = try site.write(bytes)
    let before = try site.listing()
    var refusal: (any ExplainedError)?
    do {
      var request = ImportRequest(bundle)
      request.nodes = hostile.nodes
      request.trustsPlugins = hostile.trustsPlugins
      request.requiresSignature = hostile.requiresSignature
      let outcome = try site.workspace.importBundle(request)
      let components = outcome.images.flatMap { $0.imported?.snapshot.components ?? [] }
      Issue.record("imported: \(components.map { printable($0.path) })")
    } catch let error as any ExplainedError {
      refusal = error
    }
    #expect(try site.listing() == before)
    #expect(try site.workspace.images().isEmpty)
    #expect(try run("ls", "-A", site.directory.path("store/tmp")).output == "")
    // The refusal leaves at most as many bytes in the store as the bundle has.
    let stored = try run("du", "-s", "--block-size=1", site.directory.path("store")).output
    let storedBytes = try #require(Int(stored.prefix { $0.isNumber }))
    #expect(storedBytes < bytes.count + (4 << 20), "the store grew to \(storedBytes) bytes")

    let messageWithHint = try #require(refusal).messageWithHint
    guard case .refused(let words) = hostile.outcome else { return }
    for word in words {
      #expect(messageWithHint.contains(word), "'\(word)' is not in: \(messageWithHint)")
    }
    let objects = [
      "manifest.xml", "bundle ", "member ", "image ", "file ", "rootimgtree",
      "litefile.csv, line",
    ]
    #expect(
      objects.contains { messageWithHint.contains($0) } || messageWithHint.hasPrefix("/install/"),
      "names nothing: \(messageWithHint)")
    for line in [messageWithHint] + site.messages.withLock({ $0 }) { expectPrintable(line) }
  }

  @Test(.timeLimit(.minutes(10)), arguments: HostileBundle.imported)
  func `a bundle is imported without its hostile parts`(_ hostile: HostileBundle) throws {
    guard case .imported(let absent, let plain) = hostile.outcome else { return }
    let site = try AttackedNode()
    func around() throws -> [Substring] {
      try site.listing().split(separator: "\n").filter {
        !$0.hasPrefix("./root/install") && !$0.hasPrefix(". ")
      }
    }
    let before = try around()
    var request = ImportRequest(try site.write(hostile.make()))
    request.nodes = hostile.nodes
    let image = try #require(try site.workspace.importBundle(request).images.first)
    #expect(image.remaining?.isEmpty == true, "\(String(describing: image.remaining))")
    // Tables are created below the root.
    #expect(
      try around().filter { !$0.hasPrefix("./root/etc ") && !$0.contains("/etc/xcat") }
        == before.filter { !$0.hasPrefix("./root/etc ") })
    let root = site.directory.path("root")
    for path in absent {
      #expect(!FileManager.default.fileExists(atPath: root + path), "\(path)")
    }
    for path in plain {
      let stat = try #require(
        try KernelFileSystem.shared.statIfPresent(at: -100, Array((root + path).utf8)))
      #expect(stat.kind == .file && stat.mode & 0o7000 == 0, "\(path) has mode \(stat.mode)")
      #expect(try run("getfattr", "-d", "-m", "-", root + path).output == "", "\(path)")
    }
    for line in site.messages.withLock({ $0 }) { expectPrintable(line) }
  }

  /// Checks that no text of an untrusted bundle reaches the terminal with control characters.
  private func expectPrintable(_ text: String) {
    let isClean = text.unicodeScalars.allSatisfy {
      $0 == "\n" || !($0.properties.generalCategory == .control || $0.properties.isBidiControl)
    }
    #expect(isClean, "control characters in: \(text.debugDescription)")
    #expect(text.utf8.count < 6000, "a message of \(text.utf8.count) bytes")
  }

  @Test(.timeLimit(.minutes(10)), arguments: OddBundle.all)
  func `an unusual bundle imports like the valid one`(_ odd: OddBundle) throws {
    let site = try AttackedNode()
    let outcome = try site.workspace.importing(try site.write(odd.make()))
    #expect(outcome.remaining?.isEmpty == true, "\(String(describing: outcome.remaining))")
    #expect(outcome.apply.report.problems.isEmpty)
    let kernel = site.directory.path("root" + ManifestDraft.boot + "/kernel")
    #expect(
      try Data(contentsOf: URL(fileURLWithPath: kernel)) == Data(repeating: 0x4b, count: 1500))
    let mode = try #require(Int(try run("stat", "-c", "%a", kernel).output.dropLast(), radix: 8))
    #expect(mode & 0o7000 == 0, "setuid, setgid and sticky stay in the bundle")
    #expect(try site.workspace.images().map(\.name) == [ManifestDraft.image])
    #expect(
      try String(contentsOfFile: site.directory.path("outside/sentinel"), encoding: .utf8)
        == "sentinel\n")
  }

  @Test func `the valid bundle passes where a signature is required`() throws {
    let site = try AttackedNode()
    var request = ImportRequest(try site.write(OddBundle.signed()))
    request.requiresSignature = true
    let outcome = try site.workspace.importBundle(request)
    #expect(outcome.images.first?.remaining?.isEmpty == true)
    #expect(
      outcome.origins.map(\.keyName) == ["origin"] && outcome.origins.allSatisfy(\.isVerified))
  }

  /// Works from any caller: the session's threads have large enough stacks.
  @Test(.timeLimit(.minutes(10))) func `a tree of 1,900 levels is read with a small stack`() throws
  {
    let directory = try TemporaryDirectory()
    let store = try ObjectStore(
      KernelFileSystem.shared, path: Array(directory.path("store").utf8), create: true,
      report: { _ in })
    let session = try store.beginSession()
    let bytes = HostileBundle.deepTree(levels: 1900)
    let found = Monitor<Result<UInt64?, any Error>?>(nil)
    try startThread(stackBytes: 256 << 10) {
      let rest = Monitor(bytes[...])
      let result = Result {
        let images = try BundleReader(progress: Progress()).read(
          { target in
            rest.withLock { rest in
              let n = min(rest.count, target.count)
              target.copyBytes(from: rest.prefix(n))
              rest.removeFirst(n)
              return n
            }
          }, into: session)
        guard case .tree(let tree) = images.first?.entries["rootimgtree.gz"]?.content else {
          return UInt64?.none
        }
        return tree.entryCount
      }
      found.withLock { $0 = result }
    }.join()
    // The top, etc, motd, and the levels.
    #expect(try found.withLock { $0 }?.get() == 1903)
  }

  /// As in the command, whose own stack has this size (ImgStore.swift).
  @Test(.timeLimit(.minutes(10))) func `a tree of 1,900 levels is placed`() throws {
    let site = try AttackedNode()
    let request = ImportRequest(try site.write(HostileBundle.deepTree(levels: 1900)))
    let found = Monitor<Result<Bool, any Error>?>(nil)
    try startThread(stackBytes: 512 << 20) {
      let result = Result {
        try site.workspace.importBundle(request).images.first?.remaining?.isEmpty == true
      }
      found.withLock { $0 = result }
    }.join()
    #expect(try found.withLock { $0 }?.get() == true)
    let tree = site.directory.path("root\(ManifestDraft.boot)/rootimg")
    let count = try shell("find \"$1\" -type d 2>/dev/null | wc -l; rm -rf \"$1\"", tree).output
    #expect(Int(count.dropLast()) == 1902)
  }

  @Test func `plugins of a kit are imported only if the administrator allows them`() throws {
    for trusts in [false, true] {
      let site = try AttackedNode()
      var request = ImportRequest(try site.write(BundleDraft.withDirectories.bundle()))
      request.trustsPlugins = trusts
      let image = try #require(try site.workspace.importBundle(request).images.first)
      #expect(image.remaining?.isEmpty == true)
      let plugin = site.directory.path("root/opt/xcat/lib/perl/xCAT_plugin/Evil.pm")
      #expect(FileManager.default.fileExists(atPath: plugin) == trusts)
      #expect(image.remarks.contains { $0.contains("--trust-plugins") } == !trusts)
      let kept = site.directory.path("root/install/kits/k1/plugins/Evil.pm")
      #expect(FileManager.default.fileExists(atPath: kept), "the kit's own folder is whole")
    }
  }

  @Test func `links in the directory of an extra are placed as links`() throws {
    let site = try AttackedNode()
    let side = "./\(BundleDraft.directory)/extra/install/side"
    let bundle = BundleDraft.withDirectories.bundle { tar in
      tar.header("\(side)/down", type: "2", link: "sub/file")
      tar.header("\(side)/sub/up", type: "2", link: "../down")
    }
    let image = try #require(
      try site.workspace.importBundle(ImportRequest(site.write(bundle))).images.first)
    #expect(image.apply.report.problems.isEmpty)
    let location = site.directory.path("root/install/custom/side")
    #expect(
      try run("readlink", "\(location)/down", "\(location)/sub/up").output == "sub/file\n../down\n")
    #expect(try run("cat", "\(location)/sub/up").output == "side\n")
  }

  @Test func `the corpus is large, and its names are unique`() throws {
    let names = HostileBundle.all.map(\.name)
    #expect(names.count >= 700, "\(names.count)")
    #expect(HostileBundle.imported.count >= 40, "\(HostileBundle.imported.count)")
    // docs/guarantees.md states the same numbers.
    let text = try String(contentsOfFile: packageRoot + "/docs/guarantees.md", encoding: .utf8)
      .replacing("\n", with: " ")
    for phrase in [
      "`HostileTests`: \(names.count) bundles",
      "\(HostileBundle.refused.count) are refused with an error",
      "\(HostileBundle.imported.count) are imported, without their hostile parts",
      "`HostileTests`: \(HostileBundle.signatures.count) signatures, statements and bundles",
    ] {
      #expect(text.contains(phrase), "docs/guarantees.md does not say: \(phrase)")
    }
    let twice = Dictionary(grouping: names) { $0 }.filter { $0.value.count > 1 }.keys
    #expect(twice.isEmpty, "\(twice.sorted())")
  }
}
