// imgstore remote: the group of commands for remotes.

import ArgumentParser
import Images

struct RemoteCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "remote",
    abstract: "Add, list, check and remove remotes",
    discussion: """
      A remote is another store, or a depot in an S3 bucket, that snapshots are pushed to and pulled from. \
      URL is /PATH, ssh://[USER@]HOST[:PORT][/STORE] or s3://BUCKET[/PREFIX]. A remote never stores keys or \
      passwords: those come from ssh, and from the files and variables of the AWS tools.
      """,
    subcommands: [
      RemoteAddCommand.self, RemoteListCommand.self, RemoteShowCommand.self,
      RemoteCheckCommand.self, RemoteRemoveCommand.self,
    ])
}

struct RemoteAddCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "add", abstract: "Add a remote",
    discussion: """
      Usual commands:
        imgstore remote add backup /mnt/backup/imgstore
        imgstore remote add mn2 ssh://root@mn2
        imgstore remote add depot s3://images/site1 --endpoint https://s3.example.com
      """)

  @Argument(help: "Name of the remote") var name: String
  @Argument(help: "Address of the remote") var url: String
  @Option(help: ArgumentHelp("URL of the S3 service (AWS_ENDPOINT_URL)", valueName: "url"))
  var endpoint: String?
  @Option(help: "Region of the bucket (AWS_REGION)") var region: String?
  @Option(
    name: .customLong("aws-profile"),
    help: ArgumentHelp("Profile in the AWS files (AWS_PROFILE)", valueName: "name"))
  var awsProfile: String?
  @Option(help: ArgumentHelp("File with the keys, like ~/.aws/credentials", valueName: "file"))
  var credentials: String?
  @Option(
    help: ArgumentHelp("File with the certificates to trust (AWS_CA_BUNDLE)", valueName: "file"))
  var caFile: String?
  @Option(help: ArgumentHelp("Number of S3 requests at one time (default: 8)", valueName: "n"))
  var requests: Int?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    func setting(_ value: String?, _ option: String) -> Setting<String>? {
      value.map { Setting($0, .option(option)) }
    }
    let isRelative = !url.contains("://") && !url.hasPrefix("/")
    var settings = RemoteSettings(
      name, url: Setting(isRelative ? absolutePath(url) : url, .option("url")))
    settings.endpoint = setting(endpoint, "--endpoint")
    settings.region = setting(region, "--region")
    settings.profile = setting(awsProfile, "--aws-profile")
    settings.credentials = setting(credentials.map(absolutePath), "--credentials")
    settings.caFile = setting(caFile.map(absolutePath), "--ca-file")
    settings.requests = requests.map { Setting($0, .option("--requests")) }
    let remote = try common.open().addRemote(settings)
    if try json.prints(RemotesJSON(remotes: [remote])) { return }
    print("added remote \(remote.name): \(remote.url)")
    print("'imgstore remote check \(remote.name)' tests it")
  }
}

struct RemoteListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the remotes", aliases: ["ls"])

  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let remotes = try common.open().remotes()
    if try json.prints(RemotesJSON(remotes: remotes)) { return }
    print(table(remotes.map { [$0.name, "\($0.url)"] }))
  }
}

struct RemoteShowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Show the settings and the images of a remote")

  @Argument(help: "Name or address of the remote") var remote: String
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let description = try common.open().describeRemote(remote)
    if try json.prints(description) { return }
    for line in description.remote.settings.listed {
      print("\(line.key) = \(line.value)")
    }
    if description.images.isEmpty { return print("no snapshots") }
    print(table(description.images.map { [$0.image.text, count($0.snapshots, "snapshot")] }))
  }
}

struct RemoteCheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Test whether a remote can be used",
    discussion: """
      The command tests reach and rights, and, for a depot, what safe sharing needs: conditional writes and \
      the clocks. It changes nothing but small objects of its own, which it removes.
      """)

  @Argument(help: "Name or address of the remote") var remote: String
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let report = try common.open().checkRemote(remote)
    if try !json.prints(report) {
      print(table(report.items.map { [$0.state.text, $0.name, $0.finding] }))
    }
    let problems = report.items.filter { $0.state == .failed }
    if !problems.isEmpty {
      throw CompletedWithWarnings(
        lines: problems.map {
          "\($0.name): \($0.finding)" + ($0.hint.isEmpty ? "" : "\nhint: \($0.hint)")
        })
    }
  }
}

struct RemoteRemoveCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove", abstract: "Forget a remote; its snapshots stay, there and here",
    aliases: ["rm"])

  @Argument(help: "Name of the remote") var name: String
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let workspace = try common.open()
    try workspace.removeRemote(name)
    if try json.prints(RemotesJSON(remotes: try workspace.remotes())) { return }
    print("removed remote \(name)")
  }
}

extension RemoteCheckState {
  /// The state as a word of the report.
  fileprivate var text: String {
    switch self {
    case .passed: "ok"
    case .failed: "FAILED"
    case .skipped: "skipped"
    }
  }
}

private func absolutePath(_ path: String) -> String {
  path.hasPrefix("/") ? path : workingDirectory() + "/" + path
}
