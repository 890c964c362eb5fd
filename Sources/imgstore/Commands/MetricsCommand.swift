// imgstore metrics.

import ArgumentParser
import Images

struct MetricsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "metrics",
    abstract: "Print the state of images and store for Prometheus",
    discussion: """
      With --output, the command replaces a file in one step. node_exporter reads it if its name ends with \
      .prom, and its directory is that of the option --collector.textfile.directory. 'maintain' writes the \
      file that the setting maintain.metrics names.

      Whether an image has changed is the result of the last 'maintain'; --measure compares all images now.

      Examples:
        imgstore metrics --output /tmp/imgstore.prom
      """)

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("Write to this file, which all users may read", valueName: "file"))
  var output: String?
  @Flag(help: "Compare each image with its latest snapshot now") var measure = false
  @OptionGroup var common: CommonOptions

  func run() throws {
    let workspace = try common.open()
    if let output {
      try workspace.writeMetrics(to: output, measuring: measure)
      Terminal.finish()
    } else {
      let text = try workspace.metrics(measuring: measure)
      Terminal.finish()
      print(text, terminator: "")
    }
  }
}
