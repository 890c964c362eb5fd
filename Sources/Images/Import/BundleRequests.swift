// What one may ask of export and import. The command line fills these in, under our own names and
// under xCAT's (imgexport, imgimport); the verbs decide.

import Signatures

/// A file or a folder that a bundle carries along (`imgexport -e file[:dir]`).
public struct ExtraRequest: Sendable, Equatable {
  /// An absolute path on this management node.
  public var source: String
  /// The folder it belongs in; nil for where it is.
  public var destination: String?
  public init(source: String, destination: String? = nil) {
    self.source = source
    self.destination = destination
  }
}

/// Where a bundle goes.
public enum BundleDestination: Sendable, Equatable {
  /// A file; a folder gets `NAME@N.tgz` inside; nil is `NAME@N.tgz` in the working folder.
  case file(String?)
  case standardOutput
}

/// What to export, and how.
public struct ExportRequest: Sendable {
  /// A reference. A bare image name is the live image: it is snapshotted first where it changed.
  public var reference: String
  public var destination: BundleDestination = .file(nil)
  public var extras: [ExtraRequest] = []
  /// The node or group whose script lists go along (`-p`).
  public var postscriptsOf: String?
  /// Takes along what the image needs to be generated again elsewhere.
  public var isComplete = false
  /// Folders besides the install folder that links of the image may lead to.
  public var allowed: [String] = []
  /// Leaves secrets out.
  public var scrubs = false
  /// Says what would be written, and writes nothing.
  public var isDryRun = false
  /// Extras and script lists that an earlier import brought go along again, as in a snapshot of it;
  /// imgexport takes only what its options name.
  public var carriesFacts = true
  /// Refuses a name whose end promises another form; imgexport takes any.
  public var requiresFittingName = true
  /// Signs the whole bundle.
  public var signingKey: SigningKey?
  public init(_ reference: String) { self.reference = reference }
}

/// What to import, and how.
public struct ImportRequest: Sendable {
  /// A file, or "-" for standard input. gzip, xz, zstd or a plain tar.
  public var bundle: String
  /// Import under this profile (`-f`).
  public var profile: String?
  /// The image's name; nil for what profile and bundle say.
  public var name: String?
  /// Where the tree of an image that is a directory goes; nil for where its image is already.
  public var directory: String?
  /// An image of that name may be replaced.
  public var replaces = false
  /// A node range: these nodes get the bundle's script lists (`-p`).
  public var nodes: String?
  /// Script lists are added to the nodes' own instead of replacing them.
  public var appendsPostscripts = false
  /// What is overwritten stays beside the new file as `FILE.ORIG`, as xCAT does it.
  public var keepsOriginals = false
  /// Columns of a replaced row that the bundle does not set stay.
  public var mergesColumns = false
  /// Folders beside the install folder that the bundle may write below.
  public var allowed: [String] = []
  /// Kit plugins, which are code that runs as root in xcatd, are installed.
  public var trustsPlugins = false
  /// Values need not fit the grammar of their columns: xCAT's commands may act on them.
  public var allowsUnsafeValues = false
  /// Trees may hold device nodes beyond the standard ones, and files with setuid, setgid or
  /// capabilities that no package of theirs owns.
  public var allowsPrivileged = false
  /// Checks everything, says what would change, and changes nothing.
  public var isDryRun = false
  /// Everything that would be applied must be covered by a signature of a trusted key.
  public var requiresSignature = false
  /// The folder of trusted keys; nil for the machine's own.
  public var trustedKeys: String?
  public init(_ bundle: String) { self.bundle = bundle }
}

/// What happens, as it happens; who runs a verb may show it.
public enum BundleEvent: Sendable, Equatable {
  /// Export: the install template that was found where none is set.
  case foundTemplate(path: String)
  /// Export: a statelite image's tree is about to be written.
  case packingTree
  /// Export: rows of litefile go along.
  case litefileRows
  /// Export: a file or folder of the image goes into the bundle.
  case collected(path: String)
  /// Export: an extra goes into the bundle.
  case collectedExtra(path: String)
  /// Export: all is collected; the bundle is about to be written.
  case writing(image: String)
  /// Import: an image was found in the bundle.
  case foundImage(name: String)
  /// Import: a file, tree or folder is put into its place.
  case placing(path: String)
  /// Import: the file that was there stays as `copy` (`FILE.ORIG`, or numbered).
  case keptOriginal(path: String, copy: String)
  /// Import: a statelite image's tree is put into its place.
  case placingTree(path: String)
  /// Import: a row of litefile, as in litefile.csv.
  case litefileRow(line: String)
  /// Import: nodes get script lists.
  case addingPostscripts
  /// Import: an image is done.
  case imported(image: String)
}
