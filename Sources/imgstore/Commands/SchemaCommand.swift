// imgstore json-schema. `make schemas` and programs that read documents use it.

import ArgumentParser
import FoundationEssentials

struct SchemaCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "json-schema",
    abstract: "Print the JSON Schema of a document (docs/json.md)",
    discussion: """
      Without a kind, the command lists all kinds.

      Examples:
        imgstore json-schema snapshots
      """)

  @Argument(help: ArgumentHelp("Kind of the document, as in its key 'document'", valueName: "kind"))
  var kind: String?

  func run() throws {
    guard let kind else {
      for kind in JSONDocuments.all.map({ $0.kind }).sorted() { print(kind) }
      return
    }
    guard let type = JSONDocuments.all.first(where: { $0.kind == kind }) else {
      throw ValidationError(
        "There is no document '\(kind)'; 'imgstore json-schema' lists all kinds.")
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    print(String(decoding: try encoder.encode(try JSONSchema(of: type).json), as: UTF8.self))
  }
}

/// The documents of all commands.
enum JSONDocuments {
  /// The types of all documents.
  static var all: [any JSONDocument.Type] {
    [
      AddedJSON.self, CollectionEstimateJSON.self, InitJSON.self, BenchJSON.self, BlameJSON.self,
      CollectionJSON.self, CopyJSON.self, DefinitionJSON.self,
      DefinitionsSetJSON.self, DiffJSON.self, DiskUseJSON.self, EntriesJSON.self, EntryJSON.self,
      ErrorJSON.self, ExportJSON.self, FilesJSON.self, ForgetJSON.self, ImagesJSON.self,
      ImportJSON.self, KeyJSON.self, KeysJSON.self, LiteJSON.self, MatchesJSON.self,
      NewSnapshotsJSON.self, PackJSON.self, PackPlanJSON.self, PathHistoryJSON.self, PinsJSON.self,
      RecipesJSON.self,
      RemovedDefinitionsJSON.self,
      ReindexJSON.self, RepairJSON.self, RestoreJSON.self, ResumeJSON.self, RevertJSON.self,
      RowsSetJSON.self, SecretsJSON.self, SignaturesMadeJSON.self, SnapshotJSON.self,
      SnapshotOutcomeJSON.self, SnapshotPlanJSON.self, SnapshotPlansJSON.self, SnapshotsJSON.self,
      StatisticsJSON.self, StatusJSON.self,
      StatusesJSON.self, TagJSON.self, TagsJSON.self, TextDiffJSON.self, UnpinJSON.self,
      UntagJSON.self,
      VerifyJSON.self,
    ]
  }
}
