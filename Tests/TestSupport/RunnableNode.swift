// Trees in which commands can run: busybox, and the directories that a root tree has.

import Foundation
import Platform

/// Whether commands can run in trees here: as root, with the right to make namespaces.
public let canRunInTrees: Bool = {
  guard isRoot, !TestSelection.isFast, FileManager.default.fileExists(atPath: "/usr/bin/busybox")
  else {
    return false
  }
  return (try? run("unshare", "--mount", "--pid", "--fork", "true").didSucceed) == true
}()

extension TestNode {
  /// Creates a node with an image "img" in which a shell and small tools run.
  public static func runnable(_ files: [String: String] = [:]) throws -> TestNode {
    let node = try TestNode(
      image: "img",
      tree: files.merging(["etc/motd": "hello\n", "etc/resolv.conf": "# of the tree\n"]) { $1 })
    try shell(
      """
      cd "$1"; mkdir -p proc sys dev run tmp root usr bin mnt
      cp -L "$(command -v busybox)" bin/busybox
      for library in $(ldd bin/busybox | grep -o "/[^ ]*"); do
        mkdir -p ".${library%/*}"; cp -L "$library" ".$library"
      done
      for tool in sh cat ls mkdir sleep rm kill setsid echo touch true false head ps mount; do
        ln -sf busybox bin/$tool
      done
      """, node.tree)
    return node
  }

  /// The entries of the tree by path, with kinds and sizes: what no run may change by itself.
  public func listing() throws -> String {
    try shell("cd \"$1\"; find . -printf '%p %y %s %l\\n' | sort", tree).output
  }

  /// The mounts of this machine at or below the tree.
  public func mounts() throws -> [String] {
    try String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8).split(separator: "\n")
      .map(String.init).filter { $0.contains(directory.path) }
  }
}
