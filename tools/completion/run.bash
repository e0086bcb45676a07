# Completion of ./run for bash. In ~/.bashrc, or once:  source <(./run completion bash)
_weir_run() {
    local IFS=$'\n' found
    found=$("${COMP_WORDS[0]}" completion --words "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) || return
    COMPREPLY=($(compgen -W "$(cut -f 1 <<<"$found")" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _weir_run run
