// imgstore json-schema. `make schemas` and programs that read documents use it.

import ArgumentParser
import Images
import Server

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

  @Flag(name: .customLong("openapi"), help: "Print the OpenAPI description of the server's API")
  var openAPI = false

  func validate() throws {
    if openAPI, kind != nil { throw ValidationError("--openapi excludes a kind.") }
  }

  func run() throws {
    if openAPI { return print(try OpenAPI.text(), terminator: "") }
    guard let kind else {
      for kind in JSONDocuments.all.map({ $0.kind }).sorted() { print(kind) }
      return
    }
    guard let type = JSONDocuments.all.first(where: { $0.kind == kind }) else {
      throw ValidationError(
        "There is no document '\(kind)'; 'imgstore json-schema' lists all kinds.")
    }
    print(try JSONText.tree(try JSONSchema(of: type).json))
  }
}

/// The documents of all commands, and of the API of the server.
enum JSONDocuments {
  /// The types of all documents.
  static var all: [any JSONDocument.Type] {
    [
      // Those that only the API has.
      StoreState.self, UnfinishedJSON.self, VersionJSON.self,
      AddOutcome.self, BenchOutcome.self, BlameJSON.self, CollectionEstimate.self,
      CollectionOutcome.self, ConfigurationCheckJSON.self, ConfigurationEditJSON.self,
      ConfigurationJSON.self, ConfigurationPathsJSON.self,
      CopyOutcome.self, DepotCollectionOutcome.self, DepotForgetOutcome.self,
      DepotUsageOutcome.self, DepotVerifyOutcome.self, DefinitionJSON.self, DefinitionsSetJSON.self,
      DoctorReport.self,
      DiffJSON.self, DiskUseOutcome.self, EntriesJSON.self, ErrorJSON.self, ExportJSON.self,
      FilesJSON.self, ForgetJSON.self, HooksJSON.self, ImagesJSON.self, ImportJSON.self,
      IndexTotals.self,
      InitializedStore.self, KeyJSON.self, KeysJSON.self, LiteOutcome.self, LocatedEntry.self,
      MaintenanceOutcome.self, MatchesJSON.self, NewSnapshotsJSON.self, NodesReport.self,
      BuildSearch.self, OCIExportOutcome.self, PackOutcome.self,
      PackPlan.self,
      PathHistoryJSON.self, PinsJSON.self, RecipesOutcome.self, RemovedDefinitionsJSON.self,
      RemoteCheckReport.self, RemoteDescription.self, RemotesJSON.self, RepairOutcome.self,
      RestoreOutcome.self, ResumeJSON.self, RevertJSON.self, RowsSetJSON.self,
      RunJSON.self, SecretReport.self, SignaturesMadeJSON.self, SnapshotJSON.self,
      SnapshotOutcomeJSON.self,
      SnapshotPlan.self, SnapshotPlansJSON.self, SnapshotsJSON.self, StageOutcome.self,
      StandbyOutcome.self,
      StatusJSON.self, StatusesJSON.self, StoreStatistics.self, TagJSON.self, TagsJSON.self,
      TextDiff.self, ThinExportOutcome.self, ThinImportOutcome.self, TransferOutcome.self,
      UnpinJSON.self, UnstageOutcome.self, UntagJSON.self, VerifyJSON.self,
    ]
  }
}
