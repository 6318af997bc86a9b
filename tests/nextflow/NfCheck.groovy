// Checks Nextflow scripts (.nf) and configs (.config) with Nextflow's own compiler front end (nf-lang).
// Exit status 0: no error, 1: errors, 2: usage.
// Name resolution, directives, sections, arity, includes: always errors. The static type
// checking pass is experimental upstream (it refuses some valid code): what it finds is
// a 'type' note, but an unknown process or workflow output is an error; --strict makes
// every type note an error.
import nextflow.config.control.ConfigParser
import nextflow.script.control.ParanoidWarning
import nextflow.script.control.ScriptParser
import nextflow.script.control.TypeCheckingVisitorEx
import org.codehaus.groovy.control.messages.SyntaxErrorMessage

def strict = args.contains('--strict')
def files = [] as TreeSet
for (a in args.findAll { it != '--strict' }) {
    def f = new File(a)
    if (f.directory)
        f.eachFileRecurse(groovy.io.FileType.FILES) { if (it.name ==~ /.*\.(nf|config)/) files << it }
    else if (f.file) files << f
    else { System.err.println("nf-check: no such file: $a"); System.exit(2) }
}
if (!files) { System.err.println('usage: nf-check [--strict] FILE.nf|FILE.config|DIR ...'); System.exit(2) }

def sp = new ScriptParser()
def cp = new ConfigParser()
for (f in files) (f.name.endsWith('.config') ? cp : sp).parse(f)
sp.analyze()
cp.analyze()

int errors = 0, checked = 0
for (c in [sp.compiler(), cp.compiler()]) {
    for (s in c.sources.values()) {
        checked++
        def all = { s.errorCollector.errors ?: [] }
        def hard = all().collect()
        // the parser reports a syntax error twice, the second time as a bare exception
        if (hard.any { it instanceof SyntaxErrorMessage }) hard = hard.findAll { it instanceof SyntaxErrorMessage }
        def soft = []
        if (!hard && c.is(sp.compiler())) {
            new TypeCheckingVisitorEx(s, true).visit()
            soft = all().collect()
        }
        def isHard = { m -> strict || m.cause.originalMessage ==~ /(?s)Unrecognized output .*/ }
        for (m in hard + soft) {
            if (!(m instanceof SyntaxErrorMessage)) {
                errors++
                def w = new StringWriter(); m.write(new PrintWriter(w)); println "${s.name}: error: $w"
                continue
            }
            def e = hard.contains(m) || isHard(m)
            if (e) errors++
            println "${s.name}:${m.cause.startLine}:${m.cause.startColumn}: ${e ? 'error' : 'type'}: ${m.cause.originalMessage}"
        }
        for (m in (s.errorCollector.warnings ?: []))
            if (!(m instanceof ParanoidWarning))
                println "${s.name}:${m.context?.startLine}:${m.context?.startColumn}: warning: ${m.message}"
    }
}
println "nf-check: ${checked} file(s), ${errors} error(s)"
System.exit(errors ? 1 : 0)
