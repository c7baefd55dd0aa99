#compdef drtool
# zsh completion for drtool; made by: drtool completion zsh
_drtool() {
    local prev=${words[CURRENT-1]} cur=${words[CURRENT]} typed= opts kind i
    local -a line config
    local offers
    line=("${words[@]}")
    for ((i = 2; i < CURRENT; i++)); do
        case ${line[i]} in
        -c|--config) config=(-c "${line[++i]}") ;;
        -*) ;;
        *) typed+="${line[i]} " ;;
        esac
    done
    opts= kind=words offers="init join backup snapshots restore ls dump diff verify sync wal drill status key target config completion help version"
    case "$typed" in
    "init "*)
        opts=" --yes-saved" kind=none
        case $prev in
        esac
        ;;
    "join "*)
        opts=" --name --role --key-file --passphrase-file --passphrase-env --wait" kind=none
        case $prev in
        --name) kind=none ;;
        --role) kind=none ;;
        --key-file) kind=file ;;
        --passphrase-file) kind=file ;;
        --passphrase-env) kind=none ;;
        --wait) kind=none ;;
        esac
        ;;
    "backup "*)
        opts=" --dry-run -n --tag --threads --memory --accept-changed-source --wait" kind=source
        case $prev in
        --tag) kind=none ;;
        --threads) kind=none ;;
        --memory) kind=none ;;
        --wait) kind=none ;;
        esac
        ;;
    "snapshots "*)
        opts=" --all -a --tag" kind=source
        case $prev in
        --tag) kind=none ;;
        esac
        ;;
    "restore "*)
        opts=" --to --include --exclude --overwrite --owner --numeric-owner --tablespace --to-time --to-lsn --to-xid --to-name --to-latest --to-snapshot --timeline --no-archive --no-prepare --plan --threads --memory" kind=snapshot
        case $prev in
        --to) kind=dir ;;
        --include) kind=none ;;
        --exclude) kind=none ;;
        --overwrite) kind=words; offers="always if-changed never" ;;
        --owner) kind=words; offers="auto numeric skip" ;;
        --tablespace) kind=none ;;
        --to-time) kind=none ;;
        --to-lsn) kind=none ;;
        --to-xid) kind=none ;;
        --to-name) kind=none ;;
        --timeline) kind=none ;;
        --threads) kind=none ;;
        --memory) kind=none ;;
        esac
        ;;
    "ls "*)
        opts=" --recursive -r --names" kind=snapshot
        case $prev in
        esac
        ;;
    "dump "*)
        opts=" --format --output -o" kind=snapshot
        case $prev in
        --format) kind=words; offers="raw tar" ;;
        -o|--output) kind=file ;;
        esac
        ;;
    "diff "*)
        opts="" kind=snapshot
        ;;
    "verify "*)
        opts=" --level -l --target -t --heal --threads --memory" kind=none
        case $prev in
        -l|--level) kind=none ;;
        -t|--target) kind=target ;;
        --threads) kind=none ;;
        --memory) kind=none ;;
        esac
        ;;
    "sync "*)
        opts=" --from --to --dry-run -n --wait" kind=none
        case $prev in
        --from) kind=target ;;
        --to) kind=target ;;
        --wait) kind=none ;;
        esac
        ;;
    "wal push "*)
        opts="" kind=file
        ;;
    "wal fetch "*)
        opts=" --system" kind=file
        case $prev in
        --system) kind=none ;;
        esac
        ;;
    "drill "*)
        opts=" --report --mode --keep" kind=file
        case $prev in
        --report) kind=dir ;;
        --mode) kind=words; offers="drill check" ;;
        esac
        ;;
    "status "*)
        opts="" kind=none
        ;;
    "key list "*)
        opts="" kind=none
        ;;
    "key add "*)
        opts=" --role --key-file --passphrase-file --passphrase-env --recovery-code" kind=none
        case $prev in
        --role) kind=none ;;
        --key-file) kind=file ;;
        --passphrase-file) kind=file ;;
        --passphrase-env) kind=none ;;
        esac
        ;;
    "key remove "*)
        opts="" kind=none
        ;;
    "target add "*)
        opts=" --empty --wait" kind=target
        case $prev in
        --wait) kind=none ;;
        esac
        ;;
    "target check "*)
        opts=" --size" kind=target
        case $prev in
        --size) kind=none ;;
        esac
        ;;
    "target retire "*)
        opts=" --dry-run -n --force --wait" kind=target
        case $prev in
        --wait) kind=none ;;
        esac
        ;;
    "config check "*)
        opts=" --secrets" kind=none
        case $prev in
        esac
        ;;
    "completion "*)
        opts="" kind=shell
        ;;
    "help "*)
        opts="" kind=command
        ;;
    "version "*)
        opts="" kind=none
        ;;
    "wal "*) kind=words offers="push fetch" ;;
    "key "*) kind=words offers="list add remove" ;;
    "target "*) kind=words offers="add check retire" ;;
    "config "*) kind=words offers="check" ;;
    esac
    opts="$opts --config -c --json --progress --quiet -q --verbose -v --limit-upload --limit-download --nice --help -h --version"
    case $prev in
    -c|--config) kind=file ;;
    --limit-upload) kind=none ;;
    --limit-download) kind=none ;;
    --nice) kind=none ;;
    esac
    if [[ $cur == -* ]]; then
        kind=words offers=$opts
    fi
    case $kind in
    none) ;;
    file) _files ;;
    dir) _files -/ ;;
    words) compadd -- ${=offers} ;;
    *) compadd -- ${(f)"$(drtool $config __complete $kind 2>/dev/null)"} ;;
    esac
}
if [[ $funcstack[1] == _drtool ]]; then
    _drtool "$@"
else
    compdef _drtool drtool
fi
