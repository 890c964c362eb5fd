// Finds processes that write to files which a change replaces or removes. Such a process keeps the old file
// open, and what it writes later is in no file of the tree.
//
// The check is only for a warning: processes that cannot be examined are left out.

import Platform
import Store

/// The processes with files of a tree open for writing.
struct OpenFileCheck {
  private let files: any FileSystem

  init(_ files: any FileSystem) { self.files = files }

  /// Returns a line for each process, at most `limit`.
  /// - Parameters:
  ///   - paths: the real paths of the files, without directories.
  ///   - tree: the real path of the tree.
  func lines(_ paths: Set<[UInt8]>, in tree: [UInt8], limit: Int = 3) -> [String] {
    var lines: [String] = []
    let proc = try? files.openDirectory(at: files.workingDirectory, Array("/proc".utf8))
    guard let proc, let names = try? files.names(of: proc.raw) else { return [] }
    for name in names where name.allSatisfy({ (0x30...0x39).contains($0) }) && lines.count < limit {
      let pid = String(decoding: name, as: UTF8.self)
      guard let path = openPath(of: pid, paths, tree) else { continue }
      let command = (text("/proc/\(pid)/comm") ?? []).filter { $0 != 0x0a }
      lines.append(
        "process \(pid) (\(printable(command))) keeps the old \(printable(path)) open for writing; "
          + "restart it, or its later output is lost")
    }
    return lines
  }

  private func openPath(of pid: String, _ paths: Set<[UInt8]>, _ tree: [UInt8]) -> [UInt8]? {
    let directory = try? files.openDirectory(
      at: files.workingDirectory, Array("/proc/\(pid)/fd".utf8))
    guard let directory, let names = try? files.names(of: directory.raw) else { return nil }
    for name in names {
      guard let target = try? files.readLink(at: directory.raw, name), isInside(target, tree),
        paths.contains(target)
      else { continue }
      if isWriting("/proc/\(pid)/fdinfo/\(String(decoding: name, as: UTF8.self))") { return target }
    }
    return nil
  }

  /// Reads the flags of proc(5): an octal number whose last digit is the access mode of open(2).
  private func isWriting(_ path: String) -> Bool {
    let lines = (text(path) ?? []).split(separator: 0x0a)
    guard let flags = lines.first(where: { $0.starts(with: Array("flags:".utf8)) }),
      let digit = flags.last
    else { return false }
    return digit & 0o3 != 0
  }

  private func text(_ path: String) -> [UInt8]? {
    try? files.readSmallFile(at: files.workingDirectory, Array(path.utf8), limitBytes: 64 << 10)
  }
}

/// Remarks on open files that a change replaces.
struct OpenFileRemarks: Collaborator {
  let context: Context

  /// Returns warnings about processes that write to files which the plans replace or remove in place.
  func remarksOnOpenFiles(_ plans: [ComponentPlan]) -> [String] {
    plans.flatMap { component -> [String] in
      guard component.staging == nil,
        let location = try? LivePaths(context).locate(component.path, create: false),
        let tree = try? LivePaths(context).kernelPath(location)
      else {
        return []
      }
      let replaced = (component.plan.files + component.plan.links).filter { $0.old?.kind == .file }
      let removed = component.plan.removals.filter { $0.entry.kind == .file }
      let paths = Set((replaced + removed).map { ImagePath(component: tree, path: $0.path).bytes })
      return paths.isEmpty
        ? [] : OpenFileCheck(context.fileSystem).lines(paths, in: tree)
    }
  }
}
