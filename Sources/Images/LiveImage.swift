// The live image, held against the store: what snapshot, status, diff and revert begin with.

import Codec
import Ingest
import Platform
import Store
import XCAT

/// A live image as it was captured.
struct LiveImage: Sendable {
  let definition: ImageDefinition
  let capture: CaptureResult
  let notes: [Snapshot.Note]
  let cache: StatCache?

  var tables: [Snapshot.Table] { snapshotTables(definition) }
}

extension Workspace {
  /// The files of an image, now: what its definition names, what a bundle brought along, and what
  /// else `others` lists.
  func requests(
    _ definition: ImageDefinition, facts: [Snapshot.Fact], also others: [PieceRequest] = []
  ) throws -> (all: [PieceRequest], named: Set<AbsolutePath>) {
    let install = try installDirectory(try tables())
    var files = ImageFiles.all(definition, installDirectory: install)
    for extra in BundleFacts(facts).extras {
      guard let folder = AbsolutePath(extra.destination) else { continue }
      files.append(
        ImageFile(
          role: ImageFiles.extra,
          path: folder.appending(extra.source.split(separator: "/").last.map(String.init) ?? ""),
          isNamed: true))
    }
    var seen: Set<AbsolutePath> = []
    var all: [PieceRequest] = []
    for file in files where seen.insert(file.path).inserted {
      all.append(PieceRequest(role: file.role, path: file.path))
    }
    for other in others where seen.insert(other.path).inserted { all.append(other) }
    return (all, Set(files.filter(\.isNamed).map(\.path)))
  }

  /// Captures the live image.
  /// - Parameter others: files to look at beside those that the definition names.
  func captureLive(
    _ image: ImageName, _ definition: ImageDefinition, latest: CommittedSnapshot?,
    also others: [PieceRequest] = [], into destination: CaptureDestination
  ) throws -> LiveImage {
    let store = try store()
    let cache = try validCache(image, store)
    let (requests, named) = try requests(
      definition, facts: latest?.snapshot.facts ?? [], also: others)
    let capture = try Capture(resolver, progress: progress).run(
      requests, cache: cache, into: destination)
    let absent = capture.absent.filter { named.contains($0.path) }.map {
      Snapshot.Note(.absent, path: $0.path.bytes, detail: "named by \($0.role)")
    }
    let missing = try noImageFiles(definition, capture).map { [$0] } ?? []
    return LiveImage(
      definition: definition, capture: capture,
      notes: (capture.notes + absent + missing).sorted { precedes($0.path, $1.path) },
      cache: cache)
  }

  /// A diskless image whose folder is empty or gone: a file system that is not mounted, or a typo.
  private func noImageFiles(
    _ definition: ImageDefinition, _ capture: CaptureResult
  ) throws -> Snapshot.Note? {
    guard ["netboot", "statelite"].contains(definition.provisioning),
      !capture.pieces.contains(where: { Workspace.isOwned($0.role) })
    else { return nil }
    let folder = ImageFiles.bootDirectory(
      definition, installDirectory: try installDirectory(try tables()))
    return Snapshot.Note(
      .noImageFiles, path: folder?.bytes ?? [0x2f],
      detail: folder == nil ? "rootimgdir is not set" : "")
  }

  /// The stat cache, where the snapshot that it relies on is still there.
  private func validCache(_ image: ImageName, _ store: ObjectStore) throws -> StatCache? {
    guard let cache = StatCache.load(store.layout, key: cacheKey(image)) else { return nil }
    for number in try store.refs.numbers(of: image).reversed()
    where (try? store.refs.read(image, number))?.id == cache.base { return cache }
    return nil
  }

  /// The definition in xCAT's tables.
  /// - Throws: `ImageError` where the tables do not know the image.
  func definition(of image: ImageName) throws -> ImageDefinition {
    let tables = try tables()
    guard let definition = try tables.definition(of: image.text) else {
      throw ImageError(
        "image \(image)", "is not defined in the tables in \(tables.place)",
        advice: "Define it with 'imgstore define \(image) provmethod=netboot rootimgdir=…', "
          + "or name other tables with --xcat-dir")
    }
    return definition
  }
}

/// The definition as a snapshot holds it.
func snapshotTables(_ definition: ImageDefinition) -> [Snapshot.Table] {
  if definition.isEmpty { return [] }
  return [
    Snapshot.Table(name: "osimage", rows: [definition.osimage]),
    Snapshot.Table(name: "linuximage", rows: [definition.linuximage]),
  ]
}

extension Snapshot {
  /// The definition that the snapshot holds; empty where the image was not defined.
  var definition: ImageDefinition {
    func row(_ name: String) -> [String: String] {
      tables.first { $0.name == name }?.rows.first ?? [:]
    }
    return ImageDefinition(osimage: row("osimage"), linuximage: row("linuximage"))
  }

  /// The paths of the pieces, to look for what is there now.
  var requests: [PieceRequest] { pieces.compactMap(PieceRequest.init) }

  func piece(at path: [UInt8]) -> Piece? { pieces.first { $0.path == path } }
}

/// What a bundle says beside files and tables, kept in a snapshot's facts.
struct BundleFacts {
  var values: [String: String] = [:]
  var extras: [Manifest.Extra] = []

  private static let valuePrefix = "bundle."
  private static let extraSource = "extra-src"
  private static let extraDestination = "extra-dest"

  init(values: [String: String], extras: [Manifest.Extra]) {
    self.values = values
    self.extras = extras
  }

  init(_ facts: [Snapshot.Fact]) {
    for fact in facts {
      switch fact.key {
      case BundleFacts.extraSource:
        extras.append(Manifest.Extra(source: fact.value, destination: ""))
      case BundleFacts.extraDestination:
        if !extras.isEmpty { extras[extras.count - 1].destination = fact.value }
      case let key where key.hasPrefix(BundleFacts.valuePrefix):
        values[String(key.dropFirst(BundleFacts.valuePrefix.count))] = fact.value
      default: break
      }
    }
  }

  var facts: [Snapshot.Fact] {
    values.sorted { $0.key < $1.key }.map { .init(BundleFacts.valuePrefix + $0.key, $0.value) }
      + extras.flatMap {
        [
          Snapshot.Fact(BundleFacts.extraSource, $0.source),
          Snapshot.Fact(BundleFacts.extraDestination, $0.destination),
        ]
      }
  }
}

extension PieceRequest {
  init?(_ piece: Snapshot.Piece) {
    guard let path = AbsolutePath(piece.path) else { return nil }
    self.init(role: piece.role, path: path)
  }
}
