// The common parts of the squashfs tests: stored trees, their images, and checks of an image by the
// kernel and unsquashfs.

import Codec
import Foundation
import Images
import Platform
import Render
import Store
import TestSupport
import Testing

/// A tree in a store.
struct StoredTree {
  let directory: TemporaryDirectory
  let live: String
  let workspace: Workspace
  private(set) var root: Entry

  /// Creates a tree and takes its snapshot.
  init(_ fill: (String) throws -> Void) throws {
    directory = try TemporaryDirectory()
    workspace = try Workspace.test(directory)
    live = directory.path("root/img/rootimg")
    try fill(live)
    root = try StoredTree.snapshot(workspace)
  }

  private static func snapshot(_ workspace: Workspace) throws -> Entry {
    let snapshot = try workspace.snapshot("img", .allowsEmpty).committed.snapshot
    #expect(snapshot.isComplete, "\(snapshot.notes)")
    return try #require(snapshot.components.first { $0.role == .rootTree }).entry
  }

  /// Takes the snapshot of a changed tree.
  mutating func snapshotAgain() throws { root = try StoredTree.snapshot(workspace) }

  var store: ObjectStore { get throws { try workspace.store() } }

  /// Writes an image.
  @discardableResult
  func write(
    _ name: String, _ options: SquashfsOptions, cache: (any BlockCache)? = nil,
    filter: (([UInt8], Entry) throws -> SquashfsSelection)? = nil
  ) throws -> SquashfsReport {
    let fileSystem = KernelFileSystem.shared
    let file = try fileSystem.openFile(
      at: fileSystem.workingDirectory, Array(directory.path(name).utf8),
      [.write, .create, .truncate])
    return try SquashfsWriter(
      store: store, options: options, cache: cache, progress: Progress()
    ).write(tree: root, to: file, on: fileSystem, filter: filter)
  }
}

extension SquashfsOptions {
  /// Fast levels, because the tests are about the format.
  static func quick(
    _ compression: Compression = .zstd(level: 1), block: Int = 128 << 10,
    tails: TailPacking = .shareSmallFiles, workers: Int = processorCount
  ) -> SquashfsOptions {
    SquashfsOptions(
      compression: compression, blockBytes: block, tails: tails, workers: workers,
      madeSeconds: 1_700_000_000)
  }
}

/// A cache in memory that tests can clear or modify.
final class MemoryCache: BlockCache {
  private let blocks = Monitor<[Digest: [UInt8]]>([:])

  func find(_ key: Digest) -> [UInt8]? { blocks.withLock { $0[key] } }
  func put(_ key: Digest, _ bytes: [UInt8]) { blocks.withLock { $0[key] = bytes } }

  /// Removes or changes cached values.
  func change(_ body: (Digest, [UInt8]) -> [UInt8]?) {
    blocks.withLock { held in
      for (key, bytes) in held { held[key] = body(key, bytes) }
    }
  }
}

/// Mounts an image while `body` runs.
/// - Returns: false, and prints the reason, if this user or kernel cannot mount it.
@discardableResult
func withMounted(_ image: String, _ body: (String) throws -> Void) throws -> Bool {
  let directory = image + ".mounted"
  try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
  let mounted = try run("mount", "-t", "squashfs", "-o", "loop,ro", image, directory)
  guard mounted.didSucceed else {
    // If loop devices work, a refused mount is the fault of the image.
    let mayMount = isRoot && FileManager.default.fileExists(atPath: "/dev/loop-control")
    #expect(!mayMount, "mount: \(mounted.errors)")
    print("not mounted, no loop devices here or not root: \(mounted.errors)")
    return false
  }
  defer { _ = try? run("umount", directory) }
  try body(directory)
  return true
}

/// Extracts an image with unsquashfs.
func extract(_ image: String) throws -> String {
  let directory = image + ".extracted"
  let result = try run("unsquashfs", "-no-progress", "-quiet", "-d", directory, image)
  #expect(result.didSucceed, "unsquashfs: \(result.errors)")
  return directory
}

/// Returns the paths that `differences` names.
func changedPaths(_ differences: String) -> Set<String> {
  Set(
    differences.split(separator: "\n").map { line in
      // A line of rsync: eleven letters that describe the difference, a space, the path.
      if line.hasPrefix("b'") { return String(line.dropFirst(2).prefix { $0 != "'" }) }
      var path = String(line.dropFirst(12))
      if path.hasSuffix("/") { path.removeLast() }
      return path
    })
}

func sameBytes(_ a: String, _ b: String) throws -> Bool { try run("cmp", a, b).didSucceed }
