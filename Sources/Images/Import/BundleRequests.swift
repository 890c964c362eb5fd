// The requests of export and import. The command lines of imgstore and of xCAT's names (imgexport, imgimport)
// fill them in. Export and import validate them.

import Signatures

/// A file or directory to add to a bundle (`imgexport -e file[:dir]`).
public struct ExtraRequest: Sendable, Equatable {
  /// The absolute path on this management node.
  public var source: String
  /// The directory where an import places it; nil for the same directory as here.
  public var destination: String?
  /// Creates a request.
  public init(source: String, destination: String? = nil) {
    self.source = source
    self.destination = destination
  }
}

/// The destination of a bundle.
public enum BundleDestination: Sendable, Equatable {
  /// A file, or a directory in which the bundle is called `NAME@N.tgz`; nil for `NAME@N.tgz` in the working
  /// directory.
  case file(String?)
  case standardOutput
}

/// The options of an export.
public struct ExportRequest: Sendable {
  /// The reference to export. A bare image name means the live image, which is snapshotted first if it
  /// changed.
  public var reference: String
  /// The destination of the bundle.
  public var destination: BundleDestination = .file(nil)
  /// Files and directories to add (`-e`).
  public var extras: [ExtraRequest] = []
  /// The node or group whose script lists are added (`-p`); nil for none.
  public var postscriptsOf: String?
  /// Whether the bundle also contains all files that another site needs to generate the image again.
  public var isComplete = false
  /// Directories in addition to the install directory that links of the image may lead to.
  public var allowed: [String] = []
  /// Whether secrets are left out.
  public var scrubs = false
  /// Whether the export only reports what it would write.
  public var isDryRun = false
  /// Whether extras and script lists of an earlier import are exported again. imgexport exports only those
  /// that its options name.
  public var carriesFacts = true
  /// Whether a file name with the ending of another format is refused. imgexport accepts any name.
  public var requiresFittingName = true
  /// The key that signs the whole bundle; nil for no signature.
  public var signingKey: SigningKey?
  /// Creates a request with the default options.
  public init(_ reference: String) { self.reference = reference }
}

/// What an import reads.
public enum ImportForm: Sendable {
  /// A bundle, an OCI image, a squashfs image or a Confluent profile, recognized by its content.
  case automatic
  case bundle
  /// An OCI image: an archive or a layout directory.
  case oci
}

/// The options of an import.
public struct ImportRequest: Sendable {
  /// The bundle: a file, or "-" for standard input. It is a tar, plain or with gzip, xz or zstd.
  public var bundle: String
  /// What the file is.
  public var form = ImportForm.automatic
  /// The name of the OCI image in its layout; nil if there is only one.
  public var ociReference: String?
  /// The platform of the OCI image, as OS/ARCH; nil for that of this machine, if there are several.
  public var platform: String?
  /// The key file of an encrypted squashfs image; nil for the one where imgutil puts it.
  public var imageKey: String?
  /// The profile under which the image is imported (`-f`); nil for that of the bundle.
  public var profile: String?
  /// The image's name; nil for the name that follows from profile and bundle.
  public var name: String?
  /// The directory for the tree of a directory image; nil for the present directory of that image.
  public var directory: String?
  /// Whether an existing image of that name may be replaced.
  public var replaces = false
  /// The node range that gets the bundle's script lists (`-p`); nil for none.
  public var nodes: String?
  /// Whether script lists are appended to the nodes' lists instead of replacing them.
  public var appendsPostscripts = false
  /// Whether an overwritten file stays next to the new one as `FILE.ORIG`, as in xCAT.
  public var keepsOriginals = false
  /// Whether a replaced row keeps the columns that the bundle does not set.
  public var mergesColumns = false
  /// Directories in addition to the install directory that the bundle may write below.
  public var allowed: [String] = []
  /// Whether kit plugins are installed. They are code that xcatd runs as root.
  public var trustsPlugins = false
  /// Whether values may violate the grammars of their columns. xCAT's commands may act on such values.
  public var allowsUnsafeValues = false
  /// Whether trees may contain device nodes other than the standard ones. It also allows files with setuid,
  /// setgid or capabilities that belong to no package of the tree.
  public var allowsPrivileged = false
  /// Whether the import only checks everything and reports what it would change.
  public var isDryRun = false
  /// Whether a signature of a trusted key must cover everything that is applied.
  public var requiresSignature = false
  /// The directory of trusted keys; nil for the machine's own.
  public var trustedKeys: String?
  /// Creates a request with the default options.
  public init(_ bundle: String) { self.bundle = bundle }
}

/// A step of a running export or import, for display.
public enum BundleEvent: Sendable, Equatable {
  /// Export: found an install template, because the image names none.
  case foundTemplate(path: String)
  /// Export: is about to write the tree of a statelite image.
  case packingTree
  /// Export: adds rows of litefile.
  case litefileRows
  /// Export: adds a file or directory of the image.
  case collected(path: String)
  /// Export: adds an extra.
  case collectedExtra(path: String)
  /// Export: has collected everything and is about to write the bundle.
  case writing(image: String)
  /// Import: found an image in the bundle.
  case foundImage(name: String)
  /// Import: places a file, tree or directory.
  case placing(path: String)
  /// Import: kept the replaced file as `copy` (`FILE.ORIG`, or numbered).
  case keptOriginal(path: String, copy: String)
  /// Import: places the tree of a statelite image.
  case placingTree(path: String)
  /// Import: sets a row of litefile, as written in litefile.csv.
  case litefileRow(line: String)
  /// Import: sets the script lists of nodes.
  case addingPostscripts
  /// Import: completed an image.
  case imported(image: String)
}
