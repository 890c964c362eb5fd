// The stable codes of errors (docs/json.md, "Failures").
//
// 1. A code keeps its meaning; new codes may be added. Tests and scripts compare codes, not English.
// 2. The category of a code decides the exit code of the command line.

/// The kind of a failure, for programs.
public enum ErrorCode: String, Sendable, CaseIterable, Codable {
  // MARK: Other failures

  /// A failure without a code of its own.
  case failed
  /// An image, tag, file or definition exists already.
  case alreadyExists = "already-exists"
  /// A bundle is damaged, incomplete or unacceptable.
  case bundleInvalid = "bundle-invalid"
  /// The image has another kind or other attributes than the command needs.
  case definitionInvalid = "definition-invalid"
  /// The kernel or the file system refuses the access.
  case accessDenied = "access-denied"
  /// A blob needs an encoder that this build does not have.
  case encoderMissing = "encoder-missing"
  /// Files that belong to the image are missing.
  case filesMissing = "files-missing"
  /// Another program changed the image while the command ran.
  case imageChanged = "image-changed"
  /// Processes, mounts or links use the live tree.
  case imageInUse = "image-in-use"
  /// The index cannot be used, even after a rebuild.
  case indexUnusable = "index-unusable"
  /// A file system has no free space or inodes, or a quota is exhausted.
  case noSpace = "no-space"
  /// A package database cannot be read.
  case packagesInvalid = "packages-invalid"
  /// A store or a file system is read-only.
  case readOnly = "read-only"
  /// A signature is missing, invalid, or made with a key that is not trusted.
  case signatureRefused = "signature-refused"
  /// A snapshot is pinned, tagged, the latest one, or needed by an unfinished change.
  case snapshotProtected = "snapshot-protected"
  /// The directory is not a store, or has a newer format version.
  case storeIncompatible = "store-incompatible"
  /// A system call failed.
  case systemError = "system-error"
  /// xCAT's tables contain values that imgstore cannot change safely.
  case tablesInvalid = "tables-invalid"
  /// This kind of image, file or format is not supported.
  case unsupported
  /// A program of xCAT failed.
  case xcatCommandFailed = "xcat-command-failed"

  /// A scrubbed export would still contain secrets, or files that may contain them.
  case secretsFound = "secrets-found"
  /// The image has no change that `undo` could undo.
  case nothingToUndo = "nothing-to-undo"
  /// A command that the configuration runs before or after a snapshot failed.
  case hookFailed = "hook-failed"

  // MARK: Remotes

  /// A remote does not answer, or the connection broke.
  case remoteUnavailable = "remote-unavailable"
  /// A remote sent damaged data, or broke the protocol.
  case remoteDamaged = "remote-damaged"
  /// A remote is too old or too new, or lacks what safety needs.
  case remoteUnsuitable = "remote-unsuitable"
  /// The remote's account may not do this.
  case remoteDenied = "remote-denied"
  /// A thin bundle needs a snapshot or objects that this store does not have.
  case baseMissing = "base-missing"

  // MARK: The command line

  /// The command line does not fit the command.
  case usage
  /// A configuration file cannot be read, or has an invalid setting.
  case configInvalid = "config-invalid"
  /// The text is not a valid name of an image or a tag.
  case invalidName = "invalid-name"
  /// The text is not a valid pattern.
  case invalidPattern = "invalid-pattern"
  /// The text is not a valid reference to a snapshot.
  case invalidReference = "invalid-reference"

  // MARK: Missing objects

  /// Something that was named does not exist.
  case notFound = "not-found"
  /// Several images have the given part in their name.
  case imageAmbiguous = "image-ambiguous"
  /// No image has the name.
  case imageNotFound = "image-not-found"
  /// The image has no unfinished change.
  case nothingToResume = "nothing-to-resume"
  /// No signing key, or no trusted key, exists.
  case keyNotFound = "key-not-found"
  /// The snapshot, or the live image, has no such path.
  case pathNotFound = "path-not-found"
  /// The image has no such snapshot.
  case snapshotNotFound = "snapshot-not-found"
  /// No store exists at the path.
  case storeNotFound = "store-not-found"
  /// The image has no such tag.
  case tagNotFound = "tag-not-found"

  // MARK: Locks

  /// Another process holds a lock, and the wait was not requested or timed out.
  case busy
  /// Another process holds the lock of the image.
  case imageLocked = "image-locked"
  /// Another process holds a lock of the store.
  case storeLocked = "store-locked"
  /// Another process holds a lock of xCAT's tables.
  case tablesLocked = "tables-locked"

  /// Another `maintain` of the store is running.
  case maintenanceRunning = "maintenance-running"

  // MARK: Damage

  /// Stored bytes have changed.
  case damaged
  /// The journal of an unfinished change cannot be read.
  case journalDamaged = "journal-damaged"
  /// An object that other stored data needs does not exist.
  case objectMissing = "object-missing"
  /// The ref of a snapshot cannot be read.
  case snapshotDamaged = "snapshot-damaged"

  // MARK: Changes

  /// An earlier change of the image has not finished.
  case changeUnfinished = "change-unfinished"
  /// A signal stopped a change before anything was modified.
  case interrupted
}

/// The groups of error codes, one per exit code.
public enum ErrorCategory: String, Sendable, CaseIterable, Codable {
  case failed
  case usage
  case notFound = "not-found"
  case busy
  case damaged
  case unfinished
  case interrupted
  case alreadyRunning = "already-running"
}

extension ErrorCode {
  /// The category of the code.
  public var category: ErrorCategory {
    switch self {
    case .failed, .alreadyExists, .bundleInvalid, .definitionInvalid, .accessDenied,
      .encoderMissing, .filesMissing, .imageChanged, .imageInUse, .indexUnusable, .noSpace,
      .packagesInvalid, .readOnly, .signatureRefused, .snapshotProtected, .storeIncompatible,
      .secretsFound, .nothingToUndo, .hookFailed, .systemError, .tablesInvalid, .unsupported,
      .xcatCommandFailed, .remoteUnavailable, .remoteDamaged, .remoteUnsuitable, .remoteDenied,
      .baseMissing:
      .failed
    case .usage, .configInvalid, .invalidName, .invalidPattern, .invalidReference: .usage
    case .notFound, .nothingToResume, .imageAmbiguous, .imageNotFound, .keyNotFound, .pathNotFound,
      .snapshotNotFound, .storeNotFound, .tagNotFound:
      .notFound
    case .busy, .imageLocked, .storeLocked, .tablesLocked: .busy
    case .maintenanceRunning: .alreadyRunning
    case .damaged, .journalDamaged, .objectMissing, .snapshotDamaged: .damaged
    case .changeUnfinished: .unfinished
    case .interrupted: .interrupted
    }
  }
}
