// A root tree in a directory of this machine, for the readers under test.

import Foundation
import Packages
import Platform
import TestSupport
import Testing

/// Reads files below `root`.
struct DirectoryTree: RootTree {
  let root: String

  private func path(_ relative: [UInt8]) -> String {
    root + "/" + String(decoding: relative, as: UTF8.self)
  }

  func file(_ relative: [UInt8], limitBytes: Int) throws -> [UInt8]? {
    var info = stat()
    guard lstat(path(relative), &info) == 0, info.st_mode & S_IFMT == S_IFREG else { return nil }
    try #require(Int(info.st_size) <= limitBytes)
    return [UInt8](try Data(contentsOf: URL(fileURLWithPath: path(relative))))
  }

  func directory(_ relative: [UInt8]) throws -> [(name: [UInt8], linkTarget: [UInt8]?)] {
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: path(relative)) else {
      return []
    }
    return names.map { name in
      let target = try? FileManager.default.destinationOfSymbolicLink(
        atPath: path(relative) + "/" + name)
      return (Array(name.utf8), target.map { Array($0.utf8) })
    }
  }
}

/// A tree of a few files in memory.
struct MemoryTree: RootTree {
  var files: [String: [UInt8]] = [:]

  func file(_ path: [UInt8], limitBytes: Int) throws -> [UInt8]? {
    files[String(decoding: path, as: UTF8.self)]
  }

  func directory(_ path: [UInt8]) throws -> [(name: [UInt8], linkTarget: [UInt8]?)] {
    let prefix = String(decoding: path, as: UTF8.self) + "/"
    return files.keys.filter { $0.hasPrefix(prefix) && !$0.dropFirst(prefix.count).contains("/") }
      .map { (Array($0.dropFirst(prefix.count).utf8), nil) }
  }
}

/// Returns "name version" lines, in byte order.
func lines(_ set: PackageSet) -> [String] {
  set.packages.map { "\($0.name)\t\($0.version)" }.sorted {
    $0.utf8.lexicographicallyPrecedes($1.utf8)
  }
}

func sortedLines(_ text: String) -> [String] {
  text.split(separator: "\n").map(String.init).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
}
