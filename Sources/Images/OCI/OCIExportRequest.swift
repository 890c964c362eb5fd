// The request and the outcome of an export as an OCI image.

import Codec
import OCI
import Platform
import Render
import Store

/// Which snapshots become layers.
public enum OCILayers: Sendable, Equatable {
  /// One layer with the whole tree.
  case single
  /// One layer for each snapshot of the image up to the exported one.
  case history
  /// One layer for each of these snapshots, given as references, and for the exported one.
  case snapshots([String])
}

/// The options of an export as an OCI image.
public struct OCIExportRequest: Sendable {
  /// Where the image is written.
  public enum Destination: Sendable, Equatable {
    /// An archive; nil for `IMAGE@N.oci.tar` in the working directory.
    case archive(String?)
    /// An archive on standard output.
    case standardOutput
    /// A layout directory, which is absent or empty.
    case directory(String)
  }

  /// The reference to export. A bare image name means the live image, which is snapshotted first if it
  /// changed.
  public var reference: String
  public var destination = Destination.archive(nil)
  public var layers = OCILayers.single
  /// The compression of layers: gzip or zstd.
  public var codec = SegmentCodec.gzip
  /// The name of the image in the index; nil for `IMAGE:N`.
  public var name: String?
  /// The platform, as OS/ARCH; nil for that of the image, or of this machine if it is unknown.
  public var platform: String?
  /// Whether secrets are left out.
  public var scrubs = false
  /// Whether the export only reports what it would write.
  public var isDryRun = false

  /// Creates a request with the default options.
  public init(_ reference: String) { self.reference = reference }
}

/// A layer that was written.
public struct OCILayerOutcome: Sendable {
  /// The snapshot whose state the layer leads to.
  public let snapshot: String
  /// The digest of the layer's blob; nil in a dry run.
  public let digest: Digest?
  /// The number of bytes of the blob; 0 in a dry run.
  public let sizeBytes: UInt64
  /// The size of the files in the layer.
  public let contentBytes: UInt64
}

/// The outcome of an export as an OCI image, or of its dry run.
public struct OCIExportOutcome: Sendable {
  /// The exported snapshot.
  public let snapshot: CommittedSnapshot
  /// The path of the archive or layout; nil for standard output.
  public let destination: String?
  /// The name of the image in the index.
  public let name: String
  public let platform: String
  /// The digest of the manifest; nil in a dry run.
  public let digest: Digest?
  /// The number of bytes of all blobs; 0 in a dry run.
  public let sizeBytes: UInt64
  /// The layers, from the first.
  public let layers: [OCILayerOutcome]
  /// The parts that the snapshot lacks, and so the image, too.
  public let gaps: [Snapshot.Note]
  public let remarks: [String]
  /// The secrets in the image or, after scrubbing, the removed ones.
  public let secrets: SecretReport
  public let isDryRun: Bool
  public let seconds: Double
}
