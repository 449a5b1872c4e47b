// After table.js: the rows of an index's models; filters by what is chosen; prints all of them.
// C columns, the status first; W their words by row; V what is chosen from.
const C=T.columns,W=C.map(words),V=[W[0],W[1],T.severities],
chosen=['status','kind','worst'].map($),
keep=(i,q)=>chosen.every((s,j)=>!s.value||s.value==V[j][i])&&
[N[i],T.reasons[i],...W.map(w=>w[i])].join(' ').toLowerCase().includes(q),
path=s=>[...s].map((c,i)=>c=='.'?'':(i&&s[i-1]!='.'?'V':'M'+i+' ')+parseInt(c,36)+'h1').join(''),
fill=(r,i)=>{
const s=T.profiles[i],why=T.reasons[i],h=r.cells[0],n=W.map(w=>w[i]??'–');
r.className=T.severities[i];
if(T.links[i]){
h.innerHTML='<a>';
h.firstChild.textContent=N[i];
h.firstChild.href=T.links[i]
}
cell(r,'').innerHTML=s&&`<svg viewBox="0 -1 ${s.length} 26" preserveAspectRatio=none role=img aria-label="${T.spans[i]}"><path d="${path(s)}"/></svg>`;
cell(r,n[0]);
if(why) cell(r,why).colSpan=C.length-1;
else n.slice(1).map(t=>cell(r,t));
r.insertCell(0).textContent=T.start+i
};
K.push(T.alphabetical,...C.map(c=>c.rows));
chosen.map(s=>s.onchange=list);
onbeforeprint=()=>draw(p=0,M=1e6);
onafterprint=()=>draw(M=30);
list()
})()
