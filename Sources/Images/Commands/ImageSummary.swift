// imgstore images: the list of all images that are defined or have snapshots.

import Platform
import Store
import XCAT

/// An image in the list of images.
public struct ImageSummary: Sendable {
  public let name: String
  /// Whether xCAT's tables or the store's own define it.
  public let isDefined: Bool
  /// The provisioning method; nil if the image is not defined.
  public let provisioning: ProvisioningMethod?
  /// The path of an image that is a directory; nil for an osimage.
  public let directory: String?
  /// The number of its snapshots.
  public let snapshots: Int
  /// The latest snapshot that can be read.
  public let latest: CommittedSnapshot?
  /// The time of the latest snapshot, or of a later `snapshot --if-changed` that found no change.
  public let lastChecked: Timestamp?
  /// The snapshots after `latest`, which cannot be read.
  public let unreadable: [UnreadableSnapshot]
  /// The unfinished change of the image; nil if there is none.
  public let unfinished: UnfinishedChange?
  /// The osimages that `stage` defined for snapshots of the image, sorted by name.
  public var staged: [String] = []
  /// Whether `stage` defined it for a snapshot of another image. Such an osimage is listed only if it has
  /// snapshots.
  public var isStaged = false
}

extension Workspace {
  /// Returns the names of all defined images, for commands that process each of them. Staged ones are left
  /// out: their content is that of a snapshot.
  /// - Throws: `ImageError` (`storeNotFound`) if the store is missing: its list of directories is missing,
  ///   too, and its disk may not be mounted.
  public func definedImages() throws -> [String] {
    try ImageLister(context).definedImages()
  }

  /// Returns all images that are defined or have snapshots, sorted by name. A staged osimage belongs to the
  /// image of its snapshot.
  public func images() throws -> [ImageSummary] {
    try ImageLister(context).images()
  }
}

extension Workspace {
  /// Returns the images that have snapshots at a remote, sorted by name.
  /// - Throws: `ImageError` (`notFound`) if there is no such remote; `remoteUnavailable` and other errors of it.
  public func images(at remote: String) throws -> [ImageSummary] {
    try RemoteReader(context).images(at: remote)
  }
}

/// Lists images.
struct ImageLister: Collaborator {
  let context: Context

  func definedImages() throws -> [String] {
    try StoreCreation(context).requireStore()
    return try images().filter { $0.isDefined && !$0.isStaged }.map(\.name)
  }

  func images() throws -> [ImageSummary] {
    let tables = try context.tables()
    let defined = try tables.definitions()
    let staged = try StagedImages(defined) { try context.installDirectory(tables) }
    guard let store = try context.storeIfPresent() else {
      return defined.keys.filter { !staged.names.contains($0) }.sorted().map { name in
        ImageSummary(
          name: name, isDefined: true, provisioning: defined[name]?.provisioning,
          directory: defined[name]?.directoryPath?.text, snapshots: 0, latest: nil,
          lastChecked: nil, unreadable: [], unfinished: nil, staged: staged.names(of: name))
      }
    }
    let histories = Dictionary(
      uniqueKeysWithValues: try store.refs.histories().map { ($0.image.text, $0.numbers) })
    let unfinished = try readableUnfinished()
    let names = Set(histories.keys).union(defined.keys.filter { !staged.names.contains($0) })
    return try names.sorted().map { name in
      let image = try ImageName(name)
      let numbers = histories[name] ?? []
      let latest = try store.refs.latestReadable(of: image, among: numbers)
      let created = latest?.snapshot.created
      let checked = LastCheck(store, key: context.cacheKey(image)).time
      return ImageSummary(
        name: name, isDefined: defined[name] != nil,
        provisioning: defined[name]?.provisioning,
        directory: defined[name]?.directoryPath?.text, snapshots: numbers.count,
        latest: latest,
        lastChecked: created.map { max($0, checked ?? $0) },
        unreadable: numbers.filter { $0 > latest?.number ?? 0 }.reversed().map {
          UnreadableSnapshot(
            name: SnapshotName(image: image, number: $0), reason: "its ref cannot be read")
        },
        unfinished: unfinished.first { $0.image == name }, staged: staged.names(of: name),
        isStaged: staged.names.contains(name))
    }
  }

  /// Returns the unfinished changes. Journals that cannot be read are reported as warnings, so that they do
  /// not prevent a list.
  private func readableUnfinished() throws -> [UnfinishedChange] {
    try context.store().journals.images().flatMap { image in
      do {
        return try ChangeJournal(context).unfinished(of: image.text)
      } catch let error as StoreError where error.kind == .damaged {
        context.reporter.warn(error.message)
        return []
      }
    }
  }
}
