# Completion of ./run for zsh. In ~/.zshrc after compinit, or once:  source <(./run completion zsh)
_weir_run() {
    local -a offers
    local line
    while IFS= read -r line; do
        [[ -z $line ]] || offers+=("${${line%%$'\t'*}//:/\\:}${${(M)line%%$'\t'*}:+}:${line#*$'\t'}")
    done < <("${(Q)words[1]}" completion --words "${(@Q)words[2,CURRENT]}" 2>/dev/null)
    if (( $#offers )); then _describe 'command' offers; else _files; fi
}
compdef _weir_run run
