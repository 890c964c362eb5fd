// Trees to test with, and independent comparisons of two trees.

import Foundation
import Platform
import Testing

/// Fills a directory with one of everything that Linux allows. Needs python3; as root also devices,
/// owners, capabilities and trusted attributes.
///
/// - Parameter wide: entries of its widest directory. Making many thousands takes ext4 seconds.
public func makeNastyTree(_ path: String, wide: Int = 1500) throws {
  let result = try run(fixture("scripts/trees/make-nasty-tree.py"), path, "\(wide)")
  try #require(result.didSucceed, "the nasty tree: \(result.errors)")
}

/// Every difference that there is between two trees: rsync's word (content, owner, mode, time,
/// links, attributes, devices), then hard-link groups and hole maps, which rsync does not compare.
///
/// - Parameter seconds: times count to the second only, and holes not at all: what formats other
///   than ours carry.
public func differences(_ a: String, _ b: String, seconds: Bool = false) throws -> String {
  let rsync = try run(
    "rsync", isRoot ? "-aHAXn" : "-aHXn", "--delete", "--checksum", "--itemize-changes", a + "/",
    b + "/")
  var text = rsync.output + (rsync.didSucceed ? "" : rsync.errors)
  let maps = try run(
    fixture("scripts/oracles/compare-links-and-holes.py"), a, b, seconds ? "seconds" : "exact")
  text += maps.output + (maps.didSucceed ? "" : maps.errors)
  return text
}

/// A copy with everything: links, attributes, holes, times.
public func copyTree(_ from: String, _ to: String) throws {
  try FileManager.default.createDirectory(atPath: to, withIntermediateDirectories: true)
  let result = try run("cp", "-a", "--sparse=auto", from + "/.", to + "/")
  try #require(result.didSucceed, "cp: \(result.errors)")
  let maps = try run(fixture("scripts/trees/copy-holes.py"), from, to)
  try #require(maps.didSucceed, "hole maps: \(maps.errors)")
}

/// A real root tree of about 150 MB and 7,000 entries, made once by scripts/small-tree.sh.
public func smallTree() throws -> String {
  let path = packageRoot + "/.build/small-tree"
  let result = try run("bash", packageRoot + "/scripts/small-tree.sh", path)
  try #require(result.didSucceed, "the small tree: \(result.errors)")
  return path
}
