// Gives a complete entry its name without destroying an entry that another process created meanwhile.
//
// 1. If no entry existed, the rename is exclusive.
// 2. If an entry existed, it is compared, exchanged with the new entry in one step, and examined
//    again under its new name. If it is not the expected entry, it is put back.
// 3. On file systems without these renames, the comparison comes immediately before a plain rename.

import Platform
import Store

/// The entry that a new entry may replace.
public enum ReplacedEntry: Sendable {
  /// No entry.
  case nothing
  /// The entry that a capture saw. If it no longer exists, the replacement still proceeds.
  case seen(FileStat)
  /// The entry of a snapshot, if no stat of it is known.
  case recorded(Entry)
  /// Any entry.
  case anything

  /// Returns whether an existing entry may be replaced.
  func allows(_ now: FileStat) -> Bool {
    switch self {
    case .nothing: false
    case .seen(let seen): now.isUnchanged(since: seen)
    case .recorded(let entry): now.isUnchanged(since: entry)
    case .anything: true
    }
  }
}

/// The result of a replacement.
public enum ReplacementResult: Sendable, Equatable {
  /// The new entry has its name.
  case done
  /// Another entry has the name and was left alone. The new entry keeps its temporary name.
  case appeared
  /// The existing entry has changed and was left alone. The new entry keeps its temporary name.
  case changed
}

/// Gives entries their names. Belongs to one thread at a time.
public struct EntryReplacement {
  private let fileSystem: any FileSystem
  /// Set to false by the first refusal.
  private var canExchange = true
  private var canRenameExclusively = true

  /// Creates a replacement for one file system.
  public init(_ fileSystem: any FileSystem) { self.fileSystem = fileSystem }

  /// Renames `temporary` to `name` in the same directory.
  /// - Parameters:
  ///   - directory: the open directory.
  ///   - temporary: the new entry's temporary name.
  ///   - name: the new entry's final name.
  ///   - expected: the entry that may be replaced.
  /// - Returns: whether the entry has its final name.
  /// - Throws: `SystemError`; the entry then keeps its temporary name.
  public mutating func publish(
    at directory: Int32, _ temporary: [UInt8], as name: [UInt8], replacing expected: ReplacedEntry
  ) throws(SystemError) -> ReplacementResult {
    switch expected {
    case .anything:
      try fileSystem.rename(at: directory, temporary, to: directory, name, exclusively: false)
      return .done
    case .nothing:
      return try publishExclusively(at: directory, temporary, as: name)
    case .seen, .recorded:
      guard let now = try fileSystem.statIfPresent(at: directory, name) else {
        return try publishExclusively(at: directory, temporary, as: name)
      }
      guard expected.allows(now) else { return .changed }
      // An exchange removes the old entry afterwards, which is impossible for a directory.
      guard now.kind != .directory else {
        throw SystemError(code: .isDirectory, "replace", name)
      }
      let flags = try ProtectingFlags.clear(fileSystem, at: directory, name, now)
      do throws(SystemError) {
        let result = try exchange(at: directory, temporary, name, now)
        // If the inode has other names, it continues to exist and must stay unchanged.
        flags?.restoreIfInUse()
        return result
      } catch {
        flags?.restoreIfInUse()
        throw error
      }
    }
  }

  private mutating func publishExclusively(
    at directory: Int32, _ temporary: [UInt8], as name: [UInt8]
  ) throws(SystemError) -> ReplacementResult {
    if canRenameExclusively {
      do throws(SystemError) {
        try fileSystem.rename(at: directory, temporary, to: directory, name, exclusively: true)
        return .done
      } catch {
        if error.code == .exists { return .appeared }
        guard EntryReplacement.isUnsupported(error.code) else { throw error }
        canRenameExclusively = false
      }
    }
    do throws(SystemError) {
      try fileSystem.link(at: directory, temporary, to: directory, name)
      try fileSystem.remove(at: directory, temporary, isDirectory: false)
      return .done
    } catch {
      if error.code == .exists { return .appeared }
      // A file system without links: FAT and similar ones.
      if try fileSystem.statIfPresent(at: directory, name) != nil { return .appeared }
      try fileSystem.rename(at: directory, temporary, to: directory, name, exclusively: false)
      return .done
    }
  }

  private mutating func exchange(
    at directory: Int32, _ temporary: [UInt8], _ name: [UInt8], _ old: FileStat
  ) throws(SystemError) -> ReplacementResult {
    if canExchange {
      do throws(SystemError) {
        try fileSystem.exchange(at: directory, temporary, with: directory, name)
      } catch {
        if error.code == .notFound {
          return try publishExclusively(at: directory, temporary, as: name)
        }
        guard EntryReplacement.isUnsupported(error.code) else { throw error }
        canExchange = false
      }
    }
    guard canExchange else {
      try fileSystem.rename(at: directory, temporary, to: directory, name, exclusively: false)
      return .done
    }
    let displaced = try fileSystem.stat(at: directory, temporary, followLink: false)
    if displaced.hasContent(of: old) {
      try fileSystem.remove(at: directory, temporary, isDirectory: false)
      return .done
    }
    try fileSystem.exchange(at: directory, temporary, with: directory, name)
    return .changed
  }

  /// Returns whether the kernel or the file system lacks this kind of rename.
  static func isUnsupported(_ code: SystemError.Code) -> Bool {
    code == .invalid || code == .notSupported || code == .notImplemented
  }
}
