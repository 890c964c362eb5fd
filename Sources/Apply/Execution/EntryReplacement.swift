// Giving a complete entry its name, without destroying what somebody else put there meanwhile.
//
// 1. Where nothing was, the rename is exclusive.
// 2. Where something was, it is compared, exchanged with the new entry in one step, and looked at again
//    under the name that it has then: what is not as it was seen is put back.
// 3. File systems without these renames get the closest that they have: the comparison comes
//    immediately before the rename.

import Platform
import Store

/// What a new entry may replace.
public enum ReplacedEntry: Sendable {
  case nothing
  /// The entry that was seen. That it is gone by now is no obstacle.
  case seen(FileStat)
  /// The entry as a snapshot has it, where no stat of it is known.
  case recorded(Entry)
  case anything

  /// Whether an entry that is present now may be replaced.
  func allows(_ now: FileStat) -> Bool {
    switch self {
    case .nothing: false
    case .seen(let seen): now.isUnchanged(since: seen)
    case .recorded(let entry): now.isUnchanged(since: entry)
    case .anything: true
    }
  }
}

/// How a replacement ended.
public enum ReplacementResult: Sendable, Equatable {
  case done
  /// Another entry has the name; it was left alone, and the new entry has its temporary name still.
  case appeared
  case changed
}

/// Gives entries their names. Belongs to one thread at a time.
public struct EntryReplacement {
  private let fileSystem: any FileSystem
  /// Learned from the first refusal.
  private var canExchange = true
  private var canRenameExclusively = true

  public init(_ fileSystem: any FileSystem) { self.fileSystem = fileSystem }

  /// Renames `temporary` to `name` in the same directory.
  /// - Throws: `SystemError`; the entry has its temporary name then.
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
      // What comes out of an exchange is removed, which cannot be done to a directory.
      guard now.kind != .directory else {
        throw SystemError(code: .isDirectory, "replace", name)
      }
      let flags = try ProtectingFlags.clear(fileSystem, at: directory, name, now)
      do throws(SystemError) {
        let result = try exchange(at: directory, temporary, name, now)
        // The inode lives on where it has other names, and is what it was.
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
        guard EntryReplacement.isUnknown(error.code) else { throw error }
        canRenameExclusively = false
      }
    }
    do throws(SystemError) {
      try fileSystem.link(at: directory, temporary, to: directory, name)
      try fileSystem.remove(at: directory, temporary, isDirectory: false)
      return .done
    } catch {
      if error.code == .exists { return .appeared }
      // A file system without links either: FAT and its kin.
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
        guard EntryReplacement.isUnknown(error.code) else { throw error }
        canExchange = false
      }
    }
    guard canExchange else {
      try fileSystem.rename(at: directory, temporary, to: directory, name, exclusively: false)
      return .done
    }
    let out = try fileSystem.stat(at: directory, temporary, followLink: false)
    if out.hasContent(of: old) {
      try fileSystem.remove(at: directory, temporary, isDirectory: false)
      return .done
    }
    try fileSystem.exchange(at: directory, temporary, with: directory, name)
    return .changed
  }

  /// The kernel, or the file system, does not know that kind of rename.
  static func isUnknown(_ code: SystemError.Code) -> Bool {
    code == .invalid || code == .notSupported || code == .notImplemented
  }
}
