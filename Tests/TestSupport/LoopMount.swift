// File systems of a kind, in a file, mounted by a loop device: for what depends on the file system, such as
// reflinks.

import Foundation
import Platform
import Testing

/// A mounted file system. It is unmounted and removed with the last reference to it.
public final class LoopMount: Sendable {
  /// The kinds with reflinks.
  public static let kindsWithClones = ["xfs", "btrfs"]

  /// Whether this machine can make and mount them. Tests that need it have the trait `.needsLoopMounts`.
  public static let isPossible: Bool = {
    guard isRoot, !TestSelection.isFast else { return false }
    return kindsWithClones.allSatisfy { (try? LoopMount($0)) != nil }
  }()

  private let directory: TemporaryDirectory
  /// The mount point.
  public let path: String

  /// Makes and mounts a file system.
  /// - Parameter sizeMegabytes: its size. XFS needs 300 MiB, btrfs 110 MiB.
  public init(_ kind: String, sizeMegabytes: Int = 400) throws {
    directory = try TemporaryDirectory()
    path = directory.path("disk")
    let mounted = try run(
      "bash", "-euc",
      """
      PATH=$PATH:/sbin:/usr/sbin
      mkdir "$1"; truncate -s "$2M" "$1.img"; "mkfs.$3" -q "$1.img"; mount -o loop "$1.img" "$1"
      """, "mount", path, "\(sizeMegabytes)", kind)
    guard mounted.didSucceed else { throw TestFailure("mkfs.\(kind): \(mounted.errors)") }
  }

  // Detaches the file system also while something has a file open: it goes away with the last of these.
  deinit { _ = try? run("umount", "--lazy", path) }

  public func path(_ name: String) -> String { "\(path)/\(name)" }
}

extension Trait where Self == ConditionTrait {
  /// Marks tests that mount file systems of their own.
  public static var needsLoopMounts: Self {
    .enabled(
      if: LoopMount.isPossible, "needs root, mkfs.xfs, mkfs.btrfs, and loop mounts")
  }
}
